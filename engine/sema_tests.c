/* Test blocks: each expectation is a complete request, so what its command uses must be given and what it does not use
 * must not. Values are typed by the attributes that they stand for. */
#include "engine/sema.h"

#include <inttypes.h>
#include <string.h>

struct test {
    const struct pv_ast_decl *decl;
    struct pv_ir_test *out;
    size_t given_capacity, expects_capacity;
    const struct pv_ast_step *user, *time;
};

/* ---- Time ---- */

static bool digits(const char **at, int n, int64_t *number)
{
    *number = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *number = *number * 10 + (**at - '0');
    }
    return true;
}

static bool one_of(const char **at, const char *set)
{
    if (!**at || !strchr(set, **at))
        return false;
    (*at)++;
    return true;
}

static bool is_date(int64_t year, int64_t month, int64_t day)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

/* RFC 3339: 2026-11-21T10:00:00Z, with an offset, with a fraction, which is dropped. */
static bool parse_time(const char *at, int64_t *seconds)
{
    int64_t year, month, day, hour, minute, second, offset_hour = 0, offset_minute = 0;
    if (!digits(&at, 4, &year) || !one_of(&at, "-") || !digits(&at, 2, &month) || !one_of(&at, "-") ||
        !digits(&at, 2, &day) || !one_of(&at, "Tt ") || !digits(&at, 2, &hour) || !one_of(&at, ":") ||
        !digits(&at, 2, &minute) || !one_of(&at, ":") || !digits(&at, 2, &second))
        return false;
    if (one_of(&at, ".")) {
        size_t n = strspn(at, "0123456789");
        if (!n)
            return false;
        at += n;
    }
    int sign = *at == '-' ? -1 : 1;
    if (!one_of(&at, "Zz") &&
        (!one_of(&at, "+-") || !digits(&at, 2, &offset_hour) || !one_of(&at, ":") || !digits(&at, 2, &offset_minute)))
        return false;
    if (*at || !is_date(year, month, day) || hour > 23 || minute > 59 || second > 59 || offset_hour > 23 ||
        offset_minute > 59)
        return false;
    *seconds = pv_days_from_civil(year, (unsigned)month, (unsigned)day) * 86400 + hour * 3600 + minute * 60 + second -
               sign * (offset_hour * 3600 + offset_minute * 60);
    return true;
}

static void lower_time(struct pv_sema *sema, struct test *test, const struct pv_ast_step *step)
{
    test->time = step;
    if (parse_time(step->string.text.ptr, &test->out->time))
        return;
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_TIME, step->string.span,
                                     "`%s` is not a time of RFC 3339, or does not exist", step->string.text.ptr);
    pv_diag_hint(sema->diags, diag, "write it like \"2026-11-21T10:00:00Z\" or \"2026-11-21T10:00:00+01:00\"");
}

/* ---- Values ---- */

/* What other parts of a test say, and `given` does not. */
static const char *said_elsewhere(int slot, enum pv_scope scope)
{
    switch (slot) {
    case PV_A_USER_NAME: return "`user \"name\"` says who asks";
    case PV_A_COMMAND: return "`expect` says the command";
    case PV_A_PACKAGE_NAME: return "the package stands behind the command, in quotes";
    case PV_A_TIME_DATE:
    case PV_A_TIME_CLOCK:
    case PV_A_TIME_WEEKDAY: return "`time \"...\"` says the time";
    default: return scope == PV_SCOPE_SOURCE ? "`from` says the source, and the source the rest" : NULL;
    }
}

static bool lower_given(struct pv_sema *sema, const struct pv_ast_given *given, struct pv_ir_given *out)
{
    int slot = pv_sema_slot(sema, given->path);
    if (slot < 0)
        return false;
    const char *elsewhere = said_elsewhere(slot, sema->slots[slot].scope);
    if (elsewhere) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_TEST_GIVEN, given->path->span, "`%s` is not given", given->path->text.ptr);
        pv_diag_hint(sema->diags, diag, "%s", elsewhere);
        return false;
    }
    out->slot = (uint16_t)slot;
    out->span = given->span;
    return pv_sema_value(sema, out->slot, given->literal, &out->value);
}

/* Whether a slot is among givens; told, where it is there already. */
static bool given_twice(struct pv_sema *sema, const struct pv_ir_given *list, uint32_t n, const struct pv_ir_given *one)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].slot != one->slot)
            continue;
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_GIVEN, one->span, "`%s` is given twice",
                                         sema->slots[one->slot].path.ptr);
        pv_diag_related(sema->diags, diag, list[i].span, "given here first");
        return true;
    }
    return false;
}

static bool is_given(const struct pv_ir_given *list, uint32_t n, uint16_t slot)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].slot == slot)
            return true;
    return false;
}

static void add_given(struct pv_sema *sema, struct test *test, const struct pv_ast_given *given)
{
    struct pv_ir_test *out = test->out;
    struct pv_ir_given one = {.slot = 0};
    if (!lower_given(sema, given, &one))
        return;
    if (one.slot == PV_A_USER_GROUPS && test->user && test->user->groups) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_TEST_GIVEN, given->span, "the user's groups are given twice");
        pv_diag_related(sema->diags, diag, test->user->span, "and here, behind `in`");
        return;
    }
    if (given_twice(sema, out->given, out->n_given, &one))
        return;
    if (one.slot == PV_A_USER_UID)
        out->uid = one.value.number;
    out->given = pv_arena_grow(sema->arena, out->given, out->n_given, &test->given_capacity, out->n_given + 1u,
                               sizeof *out->given);
    out->given[out->n_given++] = one;
}

/* ---- Expectations ---- */

static struct pv_ir_str *lower_strings(struct pv_sema *sema, const struct pv_ast_strings *strings, uint32_t *n)
{
    *n = 0;
    for (const struct pv_ast_strings *string = strings; string; string = string->next)
        ++*n;
    struct pv_ir_str *list = pv_arena_array(sema->arena, *n, sizeof *list);
    *n = 0;
    for (const struct pv_ast_strings *string = strings; string; string = string->next)
        list[(*n)++] = pv_ir_str(string->string.text);
    return list;
}

/* Unnamed rules are rarely named in tests: their FILE:LINEs are written out when the first one is. */
static void add_place_ids(struct pv_sema *sema)
{
    const struct pv_ir *ir = sema->ir;
    sema->has_place_ids = true;
    for (uint32_t i = 0; i < ir->n_rules; i++) {
        if (ir->rules[i].id.len || pv_span_is_none(ir->rules[i].span))
            continue;
        struct pv_place place =
            pv_sources_place(&sema->program->sources, ir->rules[i].span.file, ir->rules[i].span.start);
        const char *id = pv_arena_printf(sema->arena, "%s:%" PRIu32, place.path, place.line);
        pv_sema_add_rule_id(sema, pv_intern_z(sema->arena, id), ir->rules[i].span);
    }
}

static void check_rule_id(struct pv_sema *sema, const struct pv_ast_name *name)
{
    if (!sema->has_place_ids && strchr(name->text.ptr, ':'))
        add_place_ids(sema);
    if (pv_map_get(&sema->rule_ids, name->text.ptr) || sema->incomplete)
        return;
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_TEST_RULE_ID, name->span, "no rule has the id `%s`", name->text.ptr);
    if (sema->n_guesses++ >= PV_SEMA_MAX_GUESSES)
        return;
    struct pv_nearest near;
    pv_nearest_init(&near, name->text.ptr, name->text.len);
    for (const struct pv_rule_id *id = sema->ids; id; id = id->next)
        pv_nearest_offer(&near, id->text.ptr, id->text.len);
    if (near.best)
        pv_diag_hint(sema->diags, diag, "did you mean `%s`?", near.best);
}

static void lower_by(struct pv_sema *sema, const struct pv_ast_expect *expect, struct pv_ir_expect *out)
{
    for (const struct pv_ast_ref *ref = expect->by; ref; ref = ref->next)
        out->n_by++;
    out->by = pv_arena_array(sema->arena, out->n_by, sizeof *out->by);
    out->n_by = 0;
    for (const struct pv_ast_ref *ref = expect->by; ref; ref = ref->next) {
        check_rule_id(sema, &ref->name);
        out->by[out->n_by++] = pv_ir_str(ref->name.text);
    }
}

static void lower_requiring(struct pv_sema *sema, const struct pv_ast_expect *expect, struct pv_ir_expect *out)
{
    for (const struct pv_ast_duty *duty = expect->requiring; duty; duty = duty->next)
        out->n_requiring++;
    out->requiring = pv_arena_array(sema->arena, out->n_requiring, sizeof *out->requiring);
    out->n_requiring = 0;
    for (struct pv_ast_duty *duty = expect->requiring; duty; duty = duty->next)
        pv_sema_duty(sema, duty, &out->requiring[out->n_requiring++]);
}

static bool applies(const struct pv_sema *sema, const struct pv_command *command, uint16_t slot)
{
    struct pv_command *list[1] = {(struct pv_command *)command};
    const struct pv_reach reach = {
        .list = list, .n = 1, .n_packages = command->packages, .n_sources = command->sources};
    return pv_sema_reach_having(sema, &reach, slot);
}

static void lower_with(struct pv_sema *sema, const struct pv_ast_expect *expect, const struct pv_command *command,
                       struct pv_ir_expect *out)
{
    uint32_t n = 0;
    for (const struct pv_ast_given *given = expect->with; given; given = given->next)
        n++;
    out->with = pv_arena_array(sema->arena, n, sizeof *out->with);
    for (const struct pv_ast_given *given = expect->with; given; given = given->next) {
        struct pv_ir_given one;
        if (!lower_given(sema, given, &one) || given_twice(sema, out->with, out->n_with, &one))
            continue;
        if (command && !applies(sema, command, one.slot))
            pv_report(sema->diags, PV_DIAG_TEST_GIVEN, given->path->span, "command `%s` has no `%s`",
                      command->named->text.ptr, given->path->text.ptr);
        else
            out->with[out->n_with++] = one;
    }
}

/* The object and the source: there exactly where the command uses them. */
static void check_uses(struct pv_sema *sema, const struct pv_ast_expect *expect, bool packages, bool sources)
{
    const char *command = expect->command.text.ptr;
    if (packages && !expect->objects) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_OPERATION, expect->command.span,
                                         "`%s` is about a package, and none is named", command);
        pv_diag_hint(sema->diags, diag, "write `%s \"vlc\"`", command);
    } else if (!packages && expect->objects) {
        pv_report(sema->diags, PV_DIAG_TEST_OPERATION, expect->objects->string.span, "`%s` takes no package", command);
    }
    if (sources && !expect->from.text.ptr) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_OPERATION, expect->command.span,
                                         "`%s` uses a source, and none is named", command);
        pv_diag_hint(sema->diags, diag, "write `%s \"...\" from SOURCE`", command);
    } else if (!sources && expect->from.text.ptr) {
        pv_report(sema->diags, PV_DIAG_TEST_OPERATION, expect->from.span, "`%s` uses no source", command);
    }
}

static void check_arguments(struct pv_sema *sema, const struct test *test, const struct pv_ir_expect *out,
                            const struct pv_ast_expect *expect, const struct pv_command *command)
{
    const struct pv_ir_command *declared = &sema->ir->commands[command->index];
    for (uint32_t i = 0; i < declared->n_parameters; i++) {
        uint16_t slot = declared->parameters[i].slot;
        if (declared->parameters[i].kind != PVB_ARGUMENT || is_given(out->with, out->n_with, slot) ||
            is_given(test->out->given, test->out->n_given, slot))
            continue;
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_OPERATION, expect->command.span, "`%s` needs `%s`",
                                         command->named->text.ptr, sema->slots[slot].path.ptr);
        pv_diag_hint(sema->diags, diag, "add `with %s = ...`", sema->slots[slot].path.ptr);
        return;
    }
}

static void check_source(struct pv_sema *sema, const struct pv_ast_name *from)
{
    if (!from->text.ptr)
        return;
    const struct pv_named *source = pv_sema_resolve(sema, PV_NAME_SOURCE, from->text, from->span);
    if (!source || source->decl->kind == PV_AST_DECL_SOURCE)
        return;
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_OPERATION, from->span,
                                     "`%s` is several sources, and a package comes from one", from->text.ptr);
    pv_diag_related(sema->diags, diag, source->span, "declared here");
}

static void lower_expect(struct pv_sema *sema, struct test *test, const struct pv_ast_step *step)
{
    static const enum pv_effect effects[] = {
        [PV_AST_ALLOW] = PV_ALLOW, [PV_AST_DENY] = PV_DENY, [PV_AST_REQUIRE] = PV_DENY, [PV_AST_DIRECT] = PV_DIRECT};
    const struct pv_ast_expect *expect = step->expect;
    struct pv_ir_test *into = test->out;
    into->expects = pv_arena_grow(sema->arena, into->expects, into->n_expects, &test->expects_capacity,
                                  into->n_expects + 1u, sizeof *into->expects);
    struct pv_ir_expect *out = &into->expects[into->n_expects++];
    *out = (struct pv_ir_expect){.effect = effects[expect->verdict],
                                 .command = pv_ir_str(expect->command.text),
                                 .source = pv_ir_str(expect->from.text),
                                 .span = step->span};
    out->objects = lower_strings(sema, expect->objects, &out->n_objects);
    out->because = lower_strings(sema, expect->because, &out->n_because);
    check_source(sema, &expect->from);

    const struct pv_command *command = NULL;
    if (pv_sema_never_brokered(expect->command.text)) {
        check_uses(sema, expect, false, false);
    } else {
        const struct pv_named *named =
            pv_sema_resolve(sema, PV_NAME_COMMAND, expect->command.text, expect->command.span);
        command = named ? named->command : NULL;
        if (command)
            check_uses(sema, expect, command->packages, command->sources);
    }
    lower_with(sema, expect, command, out);
    if (command)
        check_arguments(sema, test, out, expect, command);
    lower_by(sema, expect, out);
    lower_requiring(sema, expect, out);
}

/* ---- Tests ---- */

static void tell_incomplete(struct pv_sema *sema, const struct pv_ast_decl *decl, const char *fault, const char *hint)
{
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEST_INCOMPLETE, decl->test->title.span, "%s", fault);
    pv_diag_hint(sema->diags, diag, "%s", hint);
}

/* Who and when first, then what is given, then what is expected, wherever each stands. */
static void lower_test(struct pv_sema *sema, const struct pv_ast_decl *decl)
{
    struct pv_ir *ir = sema->ir;
    ir->tests =
        pv_arena_grow(sema->arena, ir->tests, ir->n_tests, &sema->tests_capacity, ir->n_tests + 1u, sizeof *ir->tests);
    struct test test = {.decl = decl, .out = &ir->tests[ir->n_tests++]};
    *test.out = (struct pv_ir_test){
        .name = pv_ir_str(decl->test->title.text), .user.ptr = "", .uid = -1, .span = decl->keyword};
    for (const struct pv_ast_step *step = decl->test->first; step; step = step->next) {
        if (step->kind == PV_AST_STEP_USER) {
            test.user = step;
            test.out->user = pv_ir_str(step->string.text);
            test.out->groups = lower_strings(sema, step->groups, &test.out->n_groups);
        } else if (step->kind == PV_AST_STEP_TIME) {
            lower_time(sema, &test, step);
        }
    }
    for (const struct pv_ast_step *step = decl->test->first; step; step = step->next)
        for (const struct pv_ast_given *given = step->kind == PV_AST_STEP_GIVEN ? step->given : NULL; given;
             given = given->next)
            add_given(sema, &test, given);
    for (const struct pv_ast_step *step = decl->test->first; step; step = step->next)
        if (step->kind == PV_AST_STEP_EXPECT)
            lower_expect(sema, &test, step);

    if (!test.user || !test.user->string.text.len)
        tell_incomplete(sema, decl, "this test does not say who asks", "add `user \"alice\" in \"staff\";`");
    if (!test.time)
        tell_incomplete(sema, decl, "this test does not say when: it would decide differently from day to day",
                        "add `time \"2026-11-21T10:00:00Z\";`");
    if (!test.out->n_expects)
        tell_incomplete(sema, decl, "this test expects nothing", "add `expect allow ...;` or `expect deny ...;`");
}

void pv_sema_tests(struct pv_sema *sema)
{
    for (uint32_t i = 0; i < sema->program->n_decls; i++)
        if (sema->program->decls[i]->kind == PV_AST_DECL_TEST)
            lower_test(sema, sema->program->decls[i]);
}
