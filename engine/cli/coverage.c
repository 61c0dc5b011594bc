/* What tests have seen, over all files of one run, as JSON (`proviso/coverage/1`).
 *
 * A policy may be imported by several files of tests. Its rules are counted together, by the identity of the file that
 * they stand in and their place there. */
#include <inttypes.h>
#include <string.h>

#include "engine/cli/cli.h"

/* ---- Folding ---- */

struct folding {
    struct pv_cli_coverage *all;
    const struct pv_cli_policy *policy;
    const struct pv_coverage *coverage;
};

static void set(struct folding *folding, json_t *object, const char *key, json_t *value)
{
    folding->all->failed = json_object_set_new(object, key, value) != 0 || folding->all->failed;
}

static void add(struct folding *folding, json_t *object, const char *key, uint64_t n)
{
    json_int_t before = json_integer_value(json_object_get(object, key));
    set(folding, object, key, json_integer(before + (json_int_t)n));
}

/* The member of an object, made where there is none; *made tells which. */
static json_t *member(struct folding *folding, json_t *object, const char *key, bool *made)
{
    json_t *value = json_object_get(object, key);
    *made = !value;
    if (value)
        return value;
    value = json_object();
    set(folding, object, key, value);
    return value;
}

static json_t *row_at(struct folding *folding, json_t *array, size_t index, bool *made)
{
    json_t *value = json_array_get(array, index);
    *made = !value;
    if (value)
        return value;
    value = json_object();
    folding->all->failed = json_array_append_new(array, value) != 0 || folding->all->failed;
    return value;
}

static json_t *file_row(struct folding *folding, uint32_t file)
{
    const struct pv_source_file *source = pv_sources_file(&folding->policy->made.program->sources, file);
    const char *path = source->location ? source->location : source->path;
    char key[64];
    bool made;
    snprintf(key, sizeof(key), "%" PRIu64 ":%" PRIu64, source->device, source->inode);
    json_t *row = member(folding, folding->all->files, key, &made);
    if (made) {
        set(folding, row, "file", pv_cli_json_text(path, strlen(path)));
        set(folding, row, "rules", json_object());
        set(folding, row, "conditions", json_object());
    }
    return row;
}

static void set_place(struct folding *folding, json_t *row, struct pv_span span)
{
    struct pv_place place = pv_sources_place(&folding->policy->made.program->sources, span.file, span.start);
    set(folding, row, "line", json_integer(place.line));
    set(folding, row, "column", json_integer(place.column));
}

static void fold_atoms(struct folding *folding, json_t *row, const struct pv_cover_atom *atoms, uint32_t n)
{
    bool made;
    if (!json_object_get(row, "conditions"))
        set(folding, row, "conditions", json_array());
    json_t *list = json_object_get(row, "conditions");
    for (uint32_t i = 0; i < n; i++) {
        json_t *atom = row_at(folding, list, i, &made);
        if (made) {
            set(folding, atom, "text", pv_cli_source_text(folding->policy, atoms[i].expr->span));
            set_place(folding, atom, atoms[i].expr->span);
        }
        add(folding, atom, "true", atoms[i].seen.n_true);
        add(folding, atom, "false", atoms[i].seen.n_false);
    }
}

static void fold_clauses(struct folding *folding, json_t *list, const struct pv_cover_rule *rule)
{
    bool made;
    for (uint32_t i = 0; i < rule->n_clauses; i++) {
        const struct pv_cover_clause *clause = &rule->clauses[i];
        json_t *row = row_at(folding, list, i, &made);
        if (made) {
            set(folding, row, "text", pv_cli_json_text(clause->clause->text.ptr, clause->clause->text.len));
            set_place(folding, row, clause->clause->span);
            set(folding, row, "constant", json_boolean(clause->constant));
        }
        add(folding, row, "true", clause->seen.n_true);
        add(folding, row, "false", clause->seen.n_false);
        fold_atoms(folding, row, clause->atoms, clause->n_atoms);
    }
}

static void fold_rule(struct folding *folding, const struct pv_cover_rule *rule, uint32_t index)
{
    char key[32];
    bool made;
    json_t *rules = json_object_get(file_row(folding, rule->rule->span.file), "rules");
    snprintf(key, sizeof(key), "%" PRIu32, rule->rule->span.start);
    json_t *row = member(folding, rules, key, &made);
    if (made) {
        json_t *known = pv_cli_rule_json(folding->policy->bundle, index);
        set(folding, row, "id", json_incref(json_object_get(known, "id")));
        set(folding, row, "effect", json_incref(json_object_get(known, "effect")));
        json_decref(known);
        set_place(folding, row, rule->rule->span);
        set(folding, row, "constant", json_boolean(rule->constant));
    }
    add(folding, row, "matched", rule->matched);
    add(folding, row, "unmatched", rule->unmatched);
    add(folding, row, "decided", rule->decided);
    if (made)
        set(folding, row, "clauses", json_array());
    fold_clauses(folding, json_object_get(row, "clauses"), rule);
}

static void fold_condition(struct folding *folding, const struct pv_cover_condition *condition)
{
    char key[32];
    bool made;
    const struct pv_ast_decl *decl = condition->decl;
    json_t *conditions = json_object_get(file_row(folding, decl->span.file), "conditions");
    snprintf(key, sizeof(key), "%" PRIu32, decl->span.start);
    json_t *row = member(folding, conditions, key, &made);
    if (made) {
        set(folding, row, "name", pv_cli_json_text(decl->name.text.ptr, decl->name.text.len));
        set_place(folding, row, decl->name.span);
    }
    add(folding, row, "true", condition->seen.n_true);
    add(folding, row, "false", condition->seen.n_false);
    fold_atoms(folding, row, condition->atoms, condition->n_atoms);
}

void pv_cli_coverage_fold(struct pv_cli_coverage *all, const struct pv_cli_policy *policy,
                          const struct pv_coverage *coverage)
{
    struct folding folding = {all, policy, coverage};
    if (!all->files)
        all->files = json_object();
    for (uint32_t i = 0; i < coverage->n_rules; i++)
        if (coverage->rules[i].rule->kind != PV_RULE_BUILTIN_DENY)
            fold_rule(&folding, &coverage->rules[i], i);
    for (uint32_t i = 0; i < coverage->n_conditions; i++)
        fold_condition(&folding, &coverage->conditions[i]);
}

/* ---- The report ---- */

struct tally {
    json_int_t all, seen;
};

static void tally(struct tally *tally, json_t *row, const char *key)
{
    tally->all++;
    tally->seen += json_integer_value(json_object_get(row, key)) > 0;
}

/* Both outcomes of a clause or condition, and of the atomic conditions in it. */
static void tally_row(struct tally *sum, json_t *row)
{
    size_t i;
    json_t *atom;
    if (json_is_true(json_object_get(row, "constant")))
        return;
    tally(sum, row, "true");
    tally(sum, row, "false");
    json_array_foreach(json_object_get(row, "conditions"), i, atom)
    {
        tally(sum, atom, "true");
        tally(sum, atom, "false");
    }
}

static void tally_rule(struct tally *sum, json_t *rule)
{
    size_t i;
    json_t *clause;
    tally(sum, rule, "matched");
    if (!json_is_true(json_object_get(rule, "constant")))
        tally(sum, rule, "unmatched");
    json_array_foreach(json_object_get(rule, "clauses"), i, clause)
    {
        tally_row(sum, clause);
    }
}

static json_t *tally_json(struct tally tally)
{
    return json_pack("{s:I, s:I}", "all", tally.all, "seen", tally.seen);
}

/* Lists of rows in place of rows by place; each with its own tally, added to the sums. */
static json_t *listed(json_t *rows, void (*count)(struct tally *, json_t *), struct tally *outcomes)
{
    const char *key;
    json_t *row, *list = json_array();
    json_object_foreach(rows, key, row)
    {
        struct tally own = {0, 0};
        count(&own, row);
        outcomes->all += own.all;
        outcomes->seen += own.seen;
        if (json_object_set_new(row, "outcomes", tally_json(own)) != 0 || json_array_append(list, row) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *pv_cli_coverage_json(struct pv_cli_coverage *all)
{
    const char *key, *rule_key;
    json_t *file, *rule, *files = json_array(), *report = pv_cli_object("coverage");
    struct tally rules = {0, 0}, outcomes = {0, 0};
    json_object_foreach(all->files, key, file)
    {
        json_object_foreach(json_object_get(file, "rules"), rule_key, rule)
        {
            tally(&rules, rule, "matched");
        }
        json_t *row = json_pack("{s:O, s:o, s:o}", "file", json_object_get(file, "file"), "rules",
                                listed(json_object_get(file, "rules"), tally_rule, &outcomes), "conditions",
                                listed(json_object_get(file, "conditions"), tally_row, &outcomes));
        all->failed = json_array_append_new(files, row) != 0 || all->failed;
    }
    all->failed = json_object_set_new(report, "files", files) != 0 ||
                  json_object_set_new(report, "rules", tally_json(rules)) != 0 ||
                  json_object_set_new(report, "outcomes", tally_json(outcomes)) != 0 || all->failed;
    json_decref(all->files);
    all->files = NULL;
    if (!all->failed)
        return report;
    json_decref(report);
    return NULL;
}
