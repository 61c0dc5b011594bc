/* A report of coverage (coverage.c) as text for people, and in the format of lcov's tracefiles (geninfo(1)), which code
 * hosts and editors read. */
#include <string.h>

#include "engine/cli/cli.h"

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- Text ---- */

static void put(FILE *out, const char *text)
{
    pv_cli_put(out, text, strlen(text));
}

static void put_missed(FILE *out, const char *indent, const char *before, json_t *row)
{
    bool seen_true = number_of(row, "true") > 0, seen_false = number_of(row, "false") > 0;
    if (seen_true && seen_false)
        return;
    fprintf(out, "%s%sline %lld, column %lld: ", before, indent, number_of(row, "line"), number_of(row, "column"));
    put(out, text_of(row, "text"));
    fputs(seen_true ? ": never false\n" : seen_false ? ": never true\n" : ": never looked at\n", out);
}

static void put_missed_atoms(FILE *out, const char *before, json_t *row)
{
    size_t i;
    json_t *atom;
    json_array_foreach(json_object_get(row, "conditions"), i, atom)
    {
        put_missed(out, "      ", before, atom);
    }
}

static void put_outcomes(FILE *out, json_t *row)
{
    json_t *outcomes = json_object_get(row, "outcomes");
    fprintf(out, "%lld of %lld outcomes", number_of(outcomes, "seen"), number_of(outcomes, "all"));
}

static void put_rule(FILE *out, const char *before, json_t *rule)
{
    size_t i;
    json_t *clause;
    bool matched = number_of(rule, "matched") > 0;
    fprintf(out, "%s  line %lld: %s ", before, number_of(rule, "line"), text_of(rule, "effect"));
    put(out, text_of(rule, "id"));
    fputs(": ", out);
    put_outcomes(out, rule);
    if (!matched)
        fputs(", never matched", out);
    if (number_of(rule, "unmatched") == 0 && !json_is_true(json_object_get(rule, "constant")))
        fputs(matched ? ", never failed to match" : ", never looked at", out);
    fputc('\n', out);
    json_array_foreach(json_object_get(rule, "clauses"), i, clause)
    {
        if (json_is_true(json_object_get(clause, "constant")))
            continue;
        /* Of what was never looked at, the clause says enough. */
        put_missed(out, "    ", before, clause);
        if (number_of(clause, "true") || number_of(clause, "false"))
            put_missed_atoms(out, before, clause);
    }
}

static void put_condition(FILE *out, const char *before, json_t *condition)
{
    fprintf(out, "%s  line %lld: condition ", before, number_of(condition, "line"));
    put(out, text_of(condition, "name"));
    fputs(": ", out);
    put_outcomes(out, condition);
    bool seen_true = number_of(condition, "true") > 0, seen_false = number_of(condition, "false") > 0;
    if (!seen_true || !seen_false)
        fputs(seen_true ? ", never false" : seen_false ? ", never true" : ", never looked at", out);
    fputc('\n', out);
    if (seen_true || seen_false)
        put_missed_atoms(out, before, condition);
}

void pv_cli_coverage_text(FILE *out, json_t *report, const char *before)
{
    size_t i, k;
    json_t *file, *row, *rules = json_object_get(report, "rules"), *outcomes = json_object_get(report, "outcomes");
    fprintf(out, "%scoverage: %lld of %lld rules matched, %lld of %lld outcomes seen\n", before,
            number_of(rules, "seen"), number_of(rules, "all"), number_of(outcomes, "seen"), number_of(outcomes, "all"));
    json_array_foreach(json_object_get(report, "files"), i, file)
    {
        fputs(before, out);
        put(out, text_of(file, "file"));
        fputc('\n', out);
        json_array_foreach(json_object_get(file, "rules"), k, row)
        {
            put_rule(out, before, row);
        }
        json_array_foreach(json_object_get(file, "conditions"), k, row)
        {
            put_condition(out, before, row);
        }
    }
}

/* ---- lcov ---- */

/* Branches of one file, by line. `block` numbers what stands on the way. */
struct lcov {
    FILE *out;
    long long block, found, hit;
};

static void put_branches(struct lcov *lcov, json_t *row)
{
    long long counts[2] = {number_of(row, "true"), number_of(row, "false")};
    for (int i = 0; i < 2; i++) {
        fprintf(lcov->out, "BRDA:%lld,%lld,%d,", number_of(row, "line"), lcov->block, i);
        if (counts[0] + counts[1])
            fprintf(lcov->out, "%lld\n", counts[i]);
        else
            fprintf(lcov->out, "-\n");
        lcov->found++;
        lcov->hit += counts[i] > 0;
    }
    lcov->block++;
}

static void put_row_branches(struct lcov *lcov, json_t *row)
{
    size_t i;
    json_t *atom;
    if (json_is_true(json_object_get(row, "constant")))
        return;
    put_branches(lcov, row);
    json_array_foreach(json_object_get(row, "conditions"), i, atom)
    {
        put_branches(lcov, atom);
    }
}

/* A rule is a function, called where it matched, and the line of its keyword. */
static void put_functions(FILE *out, json_t *rules)
{
    size_t i;
    long long hit = 0;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        fprintf(out, "FN:%lld,", number_of(rule, "line"));
        put(out, text_of(rule, "id"));
        fputc('\n', out);
    }
    json_array_foreach(rules, i, rule)
    {
        fprintf(out, "FNDA:%lld,", number_of(rule, "matched"));
        put(out, text_of(rule, "id"));
        fputc('\n', out);
        hit += number_of(rule, "matched") > 0;
    }
    fprintf(out, "FNF:%zu\nFNH:%lld\n", json_array_size(rules), hit);
}

static void put_lines(FILE *out, json_t *rules)
{
    size_t i;
    long long hit = 0;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        fprintf(out, "DA:%lld,%lld\n", number_of(rule, "line"), number_of(rule, "matched"));
        hit += number_of(rule, "matched") > 0;
    }
    fprintf(out, "LF:%zu\nLH:%lld\n", json_array_size(rules), hit);
}

void pv_cli_coverage_lcov(FILE *out, json_t *report)
{
    size_t i, k, j;
    json_t *file, *row, *clause;
    json_array_foreach(json_object_get(report, "files"), i, file)
    {
        struct lcov lcov = {.out = out};
        fputs("TN:\nSF:", out);
        put(out, text_of(file, "file"));
        fputc('\n', out);
        put_functions(out, json_object_get(file, "rules"));
        json_array_foreach(json_object_get(file, "rules"), k, row)
        {
            json_array_foreach(json_object_get(row, "clauses"), j, clause)
            {
                put_row_branches(&lcov, clause);
            }
        }
        json_array_foreach(json_object_get(file, "conditions"), k, row)
        {
            put_row_branches(&lcov, row);
        }
        fprintf(out, "BRF:%lld\nBRH:%lld\n", lcov.found, lcov.hit);
        put_lines(out, json_object_get(file, "rules"));
        fputs("end_of_record\n", out);
    }
}
