/* The tree as s-expressions: what the parser understood, for tests and debugging. Every field that a statement sets is
 * shown, so that a test over the printed tree covers the grammar; strings are quoted with \xNN for what is not
 * printable. */
#include <inttypes.h>
#include <string.h>

#include "engine/ast.h"

static void text(FILE *out, struct pv_text t)
{
    fputc('"', out);
    for (uint32_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.ptr[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void word(FILE *out, struct pv_text t)
{
    fprintf(out, " %s", t.ptr ? t.ptr : "-");
}

static void string(FILE *out, struct pv_ast_string s)
{
    if (!s.text.ptr)
        return;
    fputc(' ', out);
    text(out, s.text);
}

static void pattern(FILE *out, struct pv_text t)
{
    fputs("(like ", out);
    text(out, t);
    fputc(')', out);
}

static void set(FILE *out, const struct pv_ast_set *s)
{
    fputs("(set", out);
    for (const struct pv_ast_item *item = s->first; item; item = item->next) {
        fputc(' ', out);
        if (item->kind == PV_AST_ITEM_STRING)
            text(out, item->text);
        else if (item->kind == PV_AST_ITEM_PATTERN)
            pattern(out, item->text);
        else
            fputs(item->text.ptr, out);
    }
    fputc(')', out);
}

static void date(FILE *out, struct pv_ast_date d)
{
    if (d.year)
        fprintf(out, "%04u-%02u-%02u", d.year, d.month, d.day);
    else
        fprintf(out, "--%02u-%02u", d.month, d.day);
}

static void literal(FILE *out, const struct pv_ast_literal *l)
{
    static const char *const kinds[] = {"", "bool", "int", "size", "duration", "date", "clock", "weekday", ""};
    if (l->kind == PV_AST_LIT_STRING)
        text(out, l->text);
    else if (l->kind == PV_AST_LIT_SET)
        set(out, l->set);
    else
        fprintf(out, "(%s %" PRId64 ")", kinds[l->kind], l->number);
}

/* ---- Subjects, sources, expressions; their depth is bounded by the parser ---- */

static void parens(FILE *out, unsigned n)
{
    while (n--)
        fputs("(parens ", out);
}

static void close_parens(FILE *out, unsigned n)
{
    while (n--)
        fputc(')', out);
}

static void subject(FILE *out, const struct pv_ast_subject *s)
{
    static const char *const names[] = {"or", "and", "not", "user", "group"};
    parens(out, s->parens);
    switch (s->kind) {
    case PV_AST_SUBJECT_OR:
    case PV_AST_SUBJECT_AND:
    case PV_AST_SUBJECT_NOT:
        fprintf(out, "(%s", names[s->kind]);
        for (const struct pv_ast_subject *operand = s->first; operand; operand = operand->next) {
            fputc(' ', out);
            subject(out, operand);
        }
        fputc(')', out);
        break;
    case PV_AST_SUBJECT_USER:
    case PV_AST_SUBJECT_GROUP:
        fprintf(out, "(%s ", names[s->kind]);
        text(out, s->name.text);
        fputc(')', out);
        break;
    case PV_AST_SUBJECT_ROLE: fprintf(out, "(role %s)", s->name.text.ptr); break;
    case PV_AST_SUBJECT_EVERYONE: fputs("everyone", out); break;
    }
    close_parens(out, s->parens);
}

static void from(FILE *out, const struct pv_ast_from *f)
{
    static const char *const names[] = {"or", "and", "not"};
    parens(out, f->parens);
    switch (f->kind) {
    case PV_AST_FROM_OR:
    case PV_AST_FROM_AND:
    case PV_AST_FROM_NOT:
        fprintf(out, "(%s", names[f->kind]);
        for (const struct pv_ast_from *operand = f->first; operand; operand = operand->next) {
            fputc(' ', out);
            from(out, operand);
        }
        fputc(')', out);
        break;
    case PV_AST_FROM_NAME: fprintf(out, "(source %s)", f->name.text.ptr); break;
    case PV_AST_FROM_SELF_SERVICE: fputs("self_service", out); break;
    case PV_AST_FROM_ANY: fputs("any", out); break;
    }
    close_parens(out, f->parens);
}

static const char *operator_word(const struct pv_ast_expr *e)
{
    switch (e->kind) {
    case PV_AST_OR: return "or";
    case PV_AST_AND: return "and";
    case PV_AST_NOT: return "not";
    case PV_AST_COMPARE: return pv_ast_cmp_word(e->cmp);
    case PV_AST_IN: return "in";
    case PV_AST_LIKE: return "like";
    case PV_AST_OVERLAPS: return "overlaps";
    case PV_AST_HAS: return "has";
    default: return NULL;
    }
}

static void expr(FILE *out, const struct pv_ast_expr *e)
{
    parens(out, e->parens);
    if (operator_word(e)) {
        fprintf(out, "(%s", operator_word(e));
        for (const struct pv_ast_expr *operand = e->first; operand; operand = operand->next) {
            fputc(' ', out);
            expr(out, operand);
        }
        fputc(')', out);
    } else if (e->kind == PV_AST_LITERAL) {
        literal(out, e->literal);
    } else if (e->kind == PV_AST_SET) {
        set(out, e->set);
    } else if (e->kind == PV_AST_PATTERN) {
        text(out, e->pattern);
    } else {
        fputs(e->path->text.ptr, out);
    }
    close_parens(out, e->parens);
}

/* ---- Rules ---- */

static void refs(FILE *out, const struct pv_ast_ref *ref)
{
    for (; ref; ref = ref->next) {
        fputc(' ', out);
        if (ref->quoted)
            text(out, ref->name.text);
        else
            fputs(ref->name.text.ptr, out);
    }
}

static void duty(FILE *out, const struct pv_ast_duty *d)
{
    fprintf(out, "(%s", pv_ast_duty_word(d->kind));
    if (d->subject) {
        fputc(' ', out);
        subject(out, d->subject);
    }
    if (d->kind == PV_D_TIMEOUT)
        fprintf(out, " %" PRId64, d->seconds);
    string(out, d->string);
    refs(out, d->windows);
    fputc(')', out);
}

static void object(FILE *out, const struct pv_ast_object *o)
{
    switch (o->kind) {
    case PV_AST_OBJECT_STRING: text(out, o->text); break;
    case PV_AST_OBJECT_PATTERN: pattern(out, o->text); break;
    case PV_AST_OBJECT_NAME: fputs(o->text.ptr, out); break;
    case PV_AST_OBJECT_SET: set(out, o->set); break;
    case PV_AST_OBJECT_OWN: fputs("own", out); break;
    }
}

static void clause(FILE *out, const struct pv_ast_clause *c)
{
    fprintf(out, " (%s", pv_ast_clause_word(c->kind));
    if (c->expr) {
        fputc(' ', out);
        expr(out, c->expr);
    }
    refs(out, c->windows);
    if (c->kind == PV_AST_UNTIL) {
        fputc(' ', out);
        date(out, c->date);
    }
    string(out, c->string);
    fputc(')', out);
}

static void scope(FILE *out, const struct pv_ast_scope *s)
{
    fputc(' ', out);
    subject(out, s->subject);
    fputs(" (to", out);
    if (s->any_command)
        fputs(" any", out);
    for (const struct pv_ast_command_ref *ref = s->commands; ref; ref = ref->next)
        fprintf(out, " %s", ref->name.text.ptr);
    fputc(')', out);
    if (s->object) {
        fputs(" (object ", out);
        object(out, s->object);
        fputc(')', out);
    }
    if (s->except) {
        fputs(" (except ", out);
        object(out, s->except);
        fputc(')', out);
    }
    if (!pv_span_is_none(s->with_dependencies))
        fputs(" with-dependencies", out);
    if (s->from) {
        fputs(" (from ", out);
        from(out, s->from);
        fputc(')', out);
    }
    for (const struct pv_ast_clause *c = s->first_clause; c; c = c->next)
        clause(out, c);
}

static void rule(FILE *out, const struct pv_ast_rule *r)
{
    for (const struct pv_ast_annotation *a = r->annotations; a; a = a->next) {
        fprintf(out, " (@%s ", pv_ast_annotation_word(a->kind));
        text(out, a->value.text);
        fputc(')', out);
    }
    if (r->duty) {
        fputc(' ', out);
        duty(out, r->duty);
    }
    scope(out, &r->scope);
}

/* ---- Declarations ---- */

static void zone(FILE *out, struct pv_span span, bool host, struct pv_ast_string name)
{
    if (pv_span_is_none(span))
        return;
    fputs(" (zone", out);
    if (host)
        fputs(" host", out);
    string(out, name);
    fputc(')', out);
}

static void source(FILE *out, const struct pv_ast_source *s)
{
    static const char *const names[PV_AST_N_SOURCE_PROPS] = {
        "type", "location", "priority", "self_service", "admin_only", "disabled", "credentials", "key", "unsigned"};
    for (const struct pv_ast_prop *prop = s->first; prop; prop = prop->next) {
        fprintf(out, " (%s", names[prop->kind]);
        if (prop->kind == PV_AST_SOURCE_PRIORITY)
            fprintf(out, " %" PRId64, prop->number);
        else if (prop->kind == PV_AST_SOURCE_TYPE)
            word(out, prop->text);
        else if (prop->text.ptr)
            string(out, (struct pv_ast_string){prop->text, prop->value_span});
        fputc(')', out);
    }
}

static void alternatives(FILE *out, const struct pv_ast_alternative *a)
{
    for (; a; a = a->next) {
        fputs(" (alt", out);
        if (a->name.text.ptr)
            word(out, a->name.text);
        for (const struct pv_ast_days *d = a->days; d; d = d->next) {
            fprintf(out, " (days %s..%s", pv_ast_weekday_word(d->first), pv_ast_weekday_word(d->last));
            if (d->nth)
                fprintf(out, " nth %d", d->nth);
            fputc(')', out);
        }
        for (const struct pv_ast_dates *d = a->dates; d; d = d->next) {
            fputs(" (dates ", out);
            date(out, d->first);
            fputs("..", out);
            date(out, d->last);
            fputc(')', out);
        }
        for (const struct pv_ast_clocks *c = a->clocks; c; c = c->next)
            fprintf(out, " (clock %" PRId32 "..%" PRId32 ")", c->start, c->end);
        fputc(')', out);
    }
}

static void window(FILE *out, const struct pv_ast_window *w)
{
    alternatives(out, w->alternatives);
    if (w->except) {
        fputs(" (except", out);
        alternatives(out, w->except);
        fputc(')', out);
    }
    zone(out, w->zone_span, w->zone_host, w->zone);
}

static void type(FILE *out, struct pv_ast_type t)
{
    fprintf(out, " %s", t.type == PV_T_NONE ? "flag" : pv_type_name(t.type));
    if (t.order != PV_ORDER_COMMAND)
        fprintf(out, "(%s)", pv_order_name(t.order));
}

static void command(FILE *out, const struct pv_ast_command *c)
{
    static const char *const names[PV_AST_N_COMMAND_PROPS] = {
        "argument", "option", "run", "provider", "packages", "sources", "account", "timeout", "environment"};
    for (const struct pv_ast_command_item *item = c->first; item; item = item->next) {
        fprintf(out, " (%s", names[item->kind]);
        if (item->name.text.ptr)
            word(out, item->name.text);
        if (item->kind == PV_AST_COMMAND_ARGUMENT || item->kind == PV_AST_COMMAND_OPTION)
            type(out, item->type);
        if (item->members) {
            fputs(" (in ", out);
            set(out, item->members);
            fputc(')', out);
        }
        if (item->members_name.text.ptr)
            fprintf(out, " (in %s)", item->members_name.text.ptr);
        for (const struct pv_ast_element *e = item->elements; e; e = e->next) {
            if (e->path)
                word(out, e->path->text);
            else
                string(out, (struct pv_ast_string){e->text, e->span});
        }
        string(out, item->string);
        string(out, item->value);
        if (item->requester)
            fputs(" requester", out);
        if (item->kind == PV_AST_COMMAND_TIMEOUT)
            fprintf(out, " %" PRId64, item->seconds);
        fputc(')', out);
    }
}

static void assertion(FILE *out, const struct pv_ast_assertion *a)
{
    static const char *const quantifiers[] = {"never", "always", "sometimes"};
    string(out, a->text);
    fprintf(out, " %s-%s", quantifiers[a->quantifier], pv_ast_rule_word(a->effect));
    if (a->duty) {
        fputc(' ', out);
        duty(out, a->duty);
    }
    scope(out, &a->scope);
}

static void strings(FILE *out, const struct pv_ast_strings *s)
{
    for (; s; s = s->next)
        string(out, s->string);
}

static void givens(FILE *out, const struct pv_ast_given *g)
{
    for (; g; g = g->next) {
        fprintf(out, " (= %s ", g->path->text.ptr);
        literal(out, g->literal);
        fputc(')', out);
    }
}

static void expect(FILE *out, const struct pv_ast_expect *e)
{
    fprintf(out, " %s %s", pv_ast_rule_word(e->verdict), e->command.text.ptr);
    strings(out, e->objects);
    if (e->from.text.ptr)
        fprintf(out, " (from %s)", e->from.text.ptr);
    if (e->with) {
        fputs(" (with", out);
        givens(out, e->with);
        fputc(')', out);
    }
    if (e->by) {
        fputs(" (by", out);
        refs(out, e->by);
        fputc(')', out);
    }
    for (const struct pv_ast_duty *d = e->requiring; d; d = d->next) {
        fputs(" (requiring ", out);
        duty(out, d);
        fputc(')', out);
    }
    if (e->because) {
        fputs(" (because", out);
        strings(out, e->because);
        fputc(')', out);
    }
}

static void test(FILE *out, const struct pv_ast_test *t)
{
    static const char *const names[] = {"user", "time", "given", "expect"};
    string(out, t->title);
    for (const struct pv_ast_step *step = t->first; step; step = step->next) {
        fprintf(out, " (%s", names[step->kind]);
        string(out, step->string);
        if (step->groups) {
            fputs(" (in", out);
            strings(out, step->groups);
            fputc(')', out);
        }
        givens(out, step->given);
        if (step->expect)
            expect(out, step->expect);
        fputc(')', out);
    }
}

static void decl(FILE *out, const struct pv_ast_decl *d)
{
    fprintf(out, "(%s", d->kind == PV_AST_DECL_RULE ? pv_ast_rule_word(d->rule->kind) : pv_ast_decl_word(d->kind));
    if (d->kind == PV_AST_DECL_ATTRIBUTE)
        word(out, d->attribute->path->text);
    else if (d->name.text.ptr)
        word(out, d->name.text);
    switch (d->kind) {
    case PV_AST_DECL_POLICY:
        string(out, d->policy->title);
        fprintf(out, " (version %" PRId64 ")", d->policy->version);
        zone(out, d->policy->zone_span, d->policy->zone_host, d->policy->zone);
        break;
    case PV_AST_DECL_IMPORT: string(out, d->import->path); break;
    case PV_AST_DECL_ROLE:
        fputc(' ', out);
        subject(out, d->role->subject);
        break;
    case PV_AST_DECL_SOURCE: source(out, d->source); break;
    case PV_AST_DECL_UNION:
        fputc(' ', out);
        from(out, d->sources->from);
        break;
    case PV_AST_DECL_SET:
        fputc(' ', out);
        if (d->set->set)
            set(out, d->set->set);
        else
            fputs("(file", out), string(out, d->set->file), fputc(')', out);
        break;
    case PV_AST_DECL_WINDOW: window(out, d->window); break;
    case PV_AST_DECL_CONDITION:
        fputc(' ', out);
        expr(out, d->condition->expr);
        break;
    case PV_AST_DECL_ATTRIBUTE:
        type(out, d->attribute->type);
        if (!pv_span_is_none(d->attribute->optional))
            fputs(" optional", out);
        break;
    case PV_AST_DECL_COMMAND: command(out, d->command); break;
    case PV_AST_DECL_RULE: rule(out, d->rule); break;
    case PV_AST_DECL_ASSERTION: assertion(out, d->assertion); break;
    case PV_AST_DECL_TEST: test(out, d->test); break;
    case PV_AST_N_DECLS: break;
    }
    fputs(")\n", out);
}

void pv_ast_print(const struct pv_file *file, FILE *out)
{
    for (const struct pv_ast_decl *d = file->first; d; d = d->next)
        decl(out, d);
}
