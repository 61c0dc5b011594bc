/* Everything of a bundle but code and debug places: attributes, zones, windows, sources, commands, rules, duties. One
 * function a section group; strings are interned here, expressions handed to emit_nodes.c. */
#include <string.h>

#include "engine/emit.h"

static struct pv_ir_str text_of(const char *text)
{
    return (struct pv_ir_str){text, (uint32_t)strlen(text)};
}

static void emit_attrs(struct pv_emit *emit)
{
    for (int slot = 0; slot < PV_N_BUILTIN; slot++) {
        const struct pv_attr_info *info = &pv_builtin_attrs[slot];
        uint32_t path = pv_emit_intern(emit, text_of(info->path));
        *(struct pvb_attr *)pv_emit_row(emit, PVB_ATTRS) =
            (struct pvb_attr){path, (uint8_t)info->type, (uint8_t)info->flags, (uint8_t)info->scope, PV_ORDER_COMMAND};
    }
    for (uint32_t i = 0; i < emit->ir->n_attrs; i++) {
        const struct pv_ir_attr *attr = &emit->ir->attrs[i];
        uint32_t path = pv_emit_intern(emit, attr->path);
        *(struct pvb_attr *)pv_emit_row(emit, PVB_ATTRS) = (struct pvb_attr){
            path, (uint8_t)attr->type, (uint8_t)attr->flags, (uint8_t)attr->scope, (uint8_t)attr->order};
    }
}

static uint32_t zone_index(struct pv_emit *emit, struct pv_ir_str zone)
{
    uint32_t name = pv_emit_intern(emit, zone);
    const uint32_t *zones = emit->section[PVB_ZONES].rows;
    for (uint32_t i = 0; i < pv_emit_count(emit, PVB_ZONES); i++) /* few: the world has some 600 */
        if (zones[i] == name)
            return i;
    *(uint32_t *)pv_emit_row(emit, PVB_ZONES) = name;
    return pv_emit_count(emit, PVB_ZONES) - 1;
}

static void emit_window_alt(struct pv_emit *emit, const struct pv_ir_window_alt *alt)
{
    struct pvb_window_alt row = {
        .ref = alt->ref,
        .except = alt->except,
        .has_days = alt->has_days,
        .day_mask = alt->day_mask,
        .first_day = pv_emit_count(emit, PVB_WINDOW_DAYS),
        .n_days = alt->n_days,
        .first_date = pv_emit_count(emit, PVB_WINDOW_DATES),
        .n_dates = alt->n_dates,
        .first_clock = pv_emit_count(emit, PVB_WINDOW_CLOCKS),
        .n_clocks = alt->n_clocks,
    };
    for (uint32_t i = 0; i < alt->n_days; i++)
        *(struct pvb_nth_day *)pv_emit_row(emit, PVB_WINDOW_DAYS) =
            (struct pvb_nth_day){alt->days[i].nth, alt->days[i].weekday};
    for (uint32_t i = 0; i < alt->n_dates; i++)
        *(struct pvb_date_range *)pv_emit_row(emit, PVB_WINDOW_DATES) =
            (struct pvb_date_range){alt->dates[i].yearly, alt->dates[i].from, alt->dates[i].to};
    for (uint32_t i = 0; i < alt->n_clocks; i++)
        *(struct pvb_clock_range *)pv_emit_row(emit, PVB_WINDOW_CLOCKS) =
            (struct pvb_clock_range){alt->clocks[i].from, alt->clocks[i].to};
    *(struct pvb_window_alt *)pv_emit_row(emit, PVB_WINDOW_ALTS) = row;
}

static void emit_windows(struct pv_emit *emit)
{
    zone_index(emit, emit->ir->zone); /* zone 0 is the policy's */
    for (uint32_t i = 0; i < emit->ir->n_windows; i++) {
        const struct pv_ir_window *window = &emit->ir->windows[i];
        bool inherits = window->zone.len == 0 && !window->zone_host;
        uint32_t name = pv_emit_intern(emit, window->name);
        uint32_t zone = inherits ? 0 : zone_index(emit, window->zone);
        *(struct pvb_window *)pv_emit_row(emit, PVB_WINDOWS) =
            (struct pvb_window){name, zone, pv_emit_count(emit, PVB_WINDOW_ALTS), window->n_alts};
        for (uint32_t j = 0; j < window->n_alts; j++)
            emit_window_alt(emit, &window->alts[j]);
    }
}

static void emit_sources(struct pv_emit *emit)
{
    for (uint32_t i = 0; i < emit->ir->n_sources; i++) {
        const struct pv_ir_source *source = &emit->ir->sources[i];
        struct pvb_source row = {
            .name = pv_emit_intern(emit, source->name),
            .type = pv_emit_intern(emit, source->type),
            .location = pv_emit_intern(emit, source->location),
            .credentials = pv_emit_intern(emit, source->credentials),
            .key = pv_emit_intern(emit, source->key),
            .priority = source->priority,
            .flags = source->flags,
        };
        *(struct pvb_source *)pv_emit_row(emit, PVB_SOURCES) = row;
    }
}

static void emit_command(struct pv_emit *emit, const struct pv_ir_command *command)
{
    struct pvb_command row = {
        .name = pv_emit_intern(emit, command->name),
        .provider = pv_emit_intern(emit, command->provider),
        .flags = command->flags,
        .order = command->order,
        .account = pv_emit_intern(emit, command->account),
        .timeout = command->timeout,
        .first_template = pv_emit_count(emit, PVB_TEMPLATES),
        .n_templates = command->n_templates,
        .first_parameter = pv_emit_count(emit, PVB_PARAMETERS),
        .n_parameters = command->n_parameters,
        .first_env = pv_emit_count(emit, PVB_ENVIRONMENT),
        .n_env = command->n_env,
        .first_required = pv_emit_count(emit, PVB_REQUIRED),
        .n_required = command->n_required,
    };
    *(struct pvb_command *)pv_emit_row(emit, PVB_COMMANDS) = row;
    for (uint32_t i = 0; i < command->n_templates; i++) {
        const struct pv_ir_template *element = &command->templates[i];
        uint32_t ref = element->kind == PVB_T_LITERAL ? pv_emit_intern(emit, element->literal) : element->slot;
        *(struct pvb_template *)pv_emit_row(emit, PVB_TEMPLATES) = (struct pvb_template){element->kind, ref};
    }
    for (uint32_t i = 0; i < command->n_parameters; i++) {
        const struct pv_ir_parameter *parameter = &command->parameters[i];
        if (parameter->set)
            pv_emit_use_set(emit, parameter->set);
        *(struct pvb_parameter *)pv_emit_row(emit, PVB_PARAMETERS) =
            (struct pvb_parameter){pv_emit_intern(emit, parameter->name), parameter->kind, parameter->slot,
                                   parameter->set ? parameter->set->index : PVB_NONE}; /* renumbered with the sets */
    }
    for (uint32_t i = 0; i < command->n_env; i++)
        *(struct pvb_env *)pv_emit_row(emit, PVB_ENVIRONMENT) =
            (struct pvb_env){pv_emit_intern(emit, command->env[i].name), pv_emit_intern(emit, command->env[i].value)};
    for (uint32_t i = 0; i < command->n_required; i++)
        *(uint16_t *)pv_emit_row(emit, PVB_REQUIRED) = command->required[i];
}

static void emit_clause(struct pv_emit *emit, const struct pv_ir_clause *clause, struct pv_span span)
{
    uint32_t text = pv_emit_intern(emit, clause->text);
    *(struct pvb_clause *)pv_emit_row(emit, PVB_CLAUSES) = (struct pvb_clause){.kind = clause->kind, .text = text};
    emit->roots = pv_arena_grow(emit->arena, emit->roots, emit->n_roots, &emit->roots_capacity, emit->n_roots + 1,
                                sizeof(uint32_t));
    emit->roots[emit->n_roots++] = pv_emit_node(emit, clause->expr, span);
}

static void emit_rule(struct pv_emit *emit, const struct pv_ir_rule *rule)
{
    struct pvb_rule row = {
        .kind = rule->kind,
        .flags = rule->flags,
        .id = pv_emit_intern(emit, rule->id),
        .first_clause = pv_emit_count(emit, PVB_CLAUSES),
        .n_clauses = rule->n_clauses,
        .first_because = pv_emit_count(emit, PVB_TEXTS),
        .n_because = rule->n_because,
        .first_annotation = pv_emit_count(emit, PVB_ANNOTATIONS),
        .n_annotations = rule->n_annotations,
        .first_duty = pv_emit_count(emit, PVB_DUTIES),
        .n_duties = rule->n_duties,
    };
    *(struct pvb_rule *)pv_emit_row(emit, PVB_RULES) = row;
    for (uint32_t i = 0; i < rule->n_clauses; i++)
        emit_clause(emit, &rule->clauses[i], rule->span);
    for (uint32_t i = 0; i < rule->n_because; i++)
        *(uint32_t *)pv_emit_row(emit, PVB_TEXTS) = pv_emit_intern(emit, rule->because[i]);
    for (uint32_t i = 0; i < rule->n_annotations; i++)
        *(struct pvb_annotation *)pv_emit_row(emit, PVB_ANNOTATIONS) = (struct pvb_annotation){
            pv_emit_intern(emit, rule->annotations[i].name), pv_emit_intern(emit, rule->annotations[i].value)};
    for (uint32_t i = 0; i < rule->n_duties; i++) {
        const struct pv_ir_duty *duty = &rule->duties[i];
        uint32_t text = pv_emit_intern(emit, duty->text);
        uint32_t clause = duty->clause ? pv_emit_count(emit, PVB_CLAUSES) : PVB_NONE;
        *(struct pvb_duty *)pv_emit_row(emit, PVB_DUTIES) =
            (struct pvb_duty){.kind = duty->kind, .text = text, .seconds = duty->seconds, .clause = clause};
        if (duty->clause)
            emit_clause(emit, duty->clause, rule->span);
    }
}

void pv_emit_tables(struct pv_emit *emit)
{
    pv_emit_intern(emit, emit->ir->name);
    pv_emit_intern(emit, emit->ir->title);
    emit_attrs(emit);
    emit_windows(emit);
    emit_sources(emit);
    for (uint32_t i = 0; i < emit->ir->n_commands; i++)
        emit_command(emit, &emit->ir->commands[i]);
    for (uint32_t i = 0; i < emit->ir->n_rules; i++)
        emit_rule(emit, &emit->ir->rules[i]);
}

/* ---- Sizes, before code is made ---- */

/* Behind the clauses of a rule and its duties. */
static uint32_t end_of_clauses(const struct pv_emit *emit, uint32_t rule)
{
    const struct pvb_rule *rows = emit->section[PVB_RULES].rows;
    return rule + 1 < emit->ir->n_rules ? rows[rule + 1].first_clause : (uint32_t)emit->n_roots;
}

/* What an expression unfolds to is the code that it becomes; sharing alone can make it exponential. */
void pv_emit_check_size(struct pv_emit *emit)
{
    const struct pvb_rule *rows = emit->section[PVB_RULES].rows;
    uint64_t total = 0;
    for (uint32_t r = 0; r < emit->ir->n_rules; r++) {
        const struct pv_ir_rule *rule = &emit->ir->rules[r];
        for (uint32_t c = rows[r].first_clause; c < end_of_clauses(emit, r); c++) {
            uint64_t size = emit->nodes[emit->roots[c]].size;
            total += size + 1;
            if (size <= PV_IR_MAX_SIZE)
                continue;
            pv_emit_refuse(emit, rule->span,
                           "rule %s%.*s%sis too large: a clause of it takes over %u steps to evaluate",
                           rule->id.len ? "`" : "", (int)rule->id.len, rule->id.len ? rule->id.ptr : "",
                           rule->id.len ? "` " : "", PV_IR_MAX_SIZE);
            break;
        }
    }
    if (!emit->refused && total * 2 > PV_EMIT_CODE_LIMIT)
        pv_emit_refuse(emit, PV_NO_SPAN, "the policy takes more than %u instructions", PV_EMIT_CODE_LIMIT);
    if (!emit->refused)
        pv_emit_reserve(emit, PVB_CLAUSE_CODE, (size_t)total); /* exactly; growing would copy it again and again */
}
