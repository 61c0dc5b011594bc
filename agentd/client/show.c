/*
 * Messages as people read them: verdicts with their plan, explanations, rights, history. Every text that came from the
 * agent goes through pv_text_safe(), so that a package's or a policy's text cannot act on the terminal; columns are
 * aligned by display width. See selfserve.h.
 */
#include "agentd/client/selfserve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agentd/client/text.h"
#include "agentd/message.h"

void pv_paper_open(struct pv_paper *paper, FILE *stream)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    struct winsize size = {0};
    bool terminal = isatty(fileno(stream));
    paper->stream = stream;
    paper->colour = terminal && !(no_color && *no_color) && term && *term && strcmp(term, "dumb") != 0;
    paper->columns = terminal && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 100;
}

static void begin(const struct pv_paper *paper, enum pv_ink ink)
{
    static const char *const codes[] = {
        [PV_INK_GOOD] = "\033[32m", [PV_INK_BAD] = "\033[31m", [PV_INK_STRONG] = "\033[1m", [PV_INK_FAINT] = "\033[2m"};
    if (paper->colour)
        fputs(codes[ink], paper->stream);
}

static void finish(const struct pv_paper *paper)
{
    if (paper->colour)
        fputs("\033[0m", paper->stream);
}

void pv_ink(const struct pv_paper *paper, enum pv_ink ink, const char *text)
{
    begin(paper, ink);
    pv_text_print(paper->stream, text);
    finish(paper);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = pv_message_string(object, key);
    return text ? text : "";
}

static bool is(const json_t *object, const char *key, const char *value)
{
    return strcmp(text_of(object, key), value) == 0;
}

/* A text, which may have lines, each behind the lead. */
static void line(const struct pv_paper *paper, const char *lead, const char *text)
{
    do {
        size_t len = strcspn(text, "\n");
        char *safe = pv_text_safe(text, len, false);
        fprintf(paper->stream, "%s%s\n", lead, safe ? safe : "");
        free(safe);
        text += len;
        text += strspn(text, "\n");
    } while (*text);
}

void pv_show_text(const struct pv_paper *paper, const char *text)
{
    line(paper, "  ", text);
}

/* ---- Tables ---- */

enum { COLUMNS_MAX = 6 };

/* Rows of safe text with the same columns; the last column is not padded. */
struct table {
    size_t n_columns, n_rows;
    char **cells; /* owned, n_rows * n_columns */
};

static void add_row(struct table *table, const char *const cells[])
{
    char **grown = realloc(table->cells, (table->n_rows + 1) * table->n_columns * sizeof(*grown));
    if (!grown)
        return;
    table->cells = grown;
    for (size_t i = 0; i < table->n_columns; i++)
        grown[table->n_rows * table->n_columns + i] = pv_text_safe(cells[i], strlen(cells[i]), false);
    table->n_rows++;
}

static void print_table(const struct pv_paper *paper, struct table *table, const char *indent, bool head)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->n_rows * table->n_columns; i++) {
        size_t width = table->cells[i] ? pv_text_width(table->cells[i]) : 0;
        if (width > widths[i % table->n_columns])
            widths[i % table->n_columns] = width;
    }
    for (size_t row = 0; row < table->n_rows; row++) {
        if (head && row == 0)
            begin(paper, PV_INK_STRONG);
        fputs(indent, paper->stream);
        size_t pending = 0;
        for (size_t i = 0; i < table->n_columns; i++) {
            const char *cell = table->cells[row * table->n_columns + i];
            if (!cell || widths[i] == 0)
                continue;
            if (*cell)
                fprintf(paper->stream, "%*s%s", (int)pending, "", cell);
            size_t width = pv_text_width(cell);
            pending = (*cell ? 0 : pending) + widths[i] - width + 2;
        }
        if (head && row == 0)
            finish(paper);
        fputc('\n', paper->stream);
    }
    for (size_t i = 0; i < table->n_rows * table->n_columns; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

/* ---- Verdicts ---- */

/* "no-sniffers (workstations.policy:41)"; a rule without an id is named by its place already, a built-in has none. */
static void rule_name(const json_t *rule, char *out, size_t size)
{
    const char *id = text_of(rule, "id"), *file = text_of(rule, "file");
    long long number = (long long)json_integer_value(json_object_get(rule, "line"));
    char place[512];
    snprintf(place, sizeof(place), "%s:%lld", file, number);
    if (!*file || strcmp(place, id) == 0)
        snprintf(out, size, "%s", id);
    else
        snprintf(out, size, "%s (%s)", id, place);
}

static void rule_names(const json_t *decision, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    const json_t *rules = json_object_get(decision, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        char name[600];
        rule_name(rule, name, sizeof(name));
        int n = snprintf(out + len, size - len, "%s%s", len ? ", " : "", name);
        if (n < 0 || (size_t)n >= size - len)
            return;
        len += (size_t)n;
    }
}

/* Each reason once, and not again what `said` says. */
static void show_because(const struct pv_paper *paper, const char *lead, const json_t *decision, const char *said)
{
    const json_t *reasons = json_object_get(decision, "because");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const json_t *text = json_array_get(reasons, i);
        if (strcmp(json_string_value(text), said) != 0)
            line(paper, lead, json_string_value(text));
    }
}

/* What will be done with a package, in the words of its user. */
static const char *action(const json_t *operation)
{
    const char *command = text_of(operation, "command");
    return strcmp(command, "uninstall") == 0 ? "remove" : command;
}

static void versions(const json_t *operation, char *out, size_t size)
{
    const char *from = text_of(operation, "installed_version"), *to = text_of(operation, "version");
    if (*from && *to && strcmp(from, to) != 0)
        snprintf(out, size, "%s -> %s", from, to);
    else
        snprintf(out, size, "%s", *to ? to : from);
}

static void add_operation(struct table *table, const json_t *operation)
{
    char version[600], from[300] = "", note[700] = "";
    versions(operation, version, sizeof(version));
    if (*text_of(operation, "source"))
        snprintf(from, sizeof(from), "from %.280s", text_of(operation, "source"));
    const json_t *decision = json_object_get(operation, "decision");
    bool denied = is(decision, "decision", "deny");
    if (denied || pv_message_bool(operation, "held_back")) {
        char names[500];
        rule_names(decision, names, sizeof(names));
        snprintf(note, sizeof(note), "%s: %s", denied ? "denied" : "held back", *names ? names : "no rule allows it");
    } else if (pv_message_bool(operation, "dependency")) {
        snprintf(note, sizeof(note), "(dependency)");
    }
    const char *const cells[] = {action(operation), text_of(operation, "package"), version, from, note};
    add_row(table, cells);
}

static void show_operations(const struct pv_paper *paper, const json_t *operations)
{
    struct table table = {.n_columns = 5};
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const json_t *operation = json_array_get(operations, i);
        if (*text_of(operation, "package"))
            add_operation(&table, operation);
    }
    print_table(paper, &table, "  ", false);
}

static void show_texts(const struct pv_paper *paper, const char *lead, const json_t *texts)
{
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        line(paper, lead, json_string_value(text));
    }
}

static void show_duties(const struct pv_paper *paper, const json_t *duties, bool asked)
{
    if (asked && pv_message_bool(duties, "reason"))
        fputs("  needs a reason (--reason)\n", paper->stream);
    if (asked) {
        show_texts(paper, "  needs the approval of ", json_object_get(duties, "approval"));
        show_texts(paper, "  only during ", json_object_get(duties, "windows"));
    }
    show_texts(paper, "  note: ", json_object_get(duties, "notices"));
}

void pv_show_verdict(const struct pv_paper *paper, const struct pv_selfserve *self, const json_t *verdict,
                     const json_t *operations)
{
    const json_t *decision = json_object_get(verdict, "decision");
    const char *effect = text_of(decision, "decision"), *text = text_of(verdict, "text");
    bool denied = strcmp(effect, "deny") == 0, direct = strcmp(effect, "direct") == 0;
    bool asked = self->verb == PV_VERB_EXPLAIN;
    char names[2000];
    rule_names(decision, names, sizeof(names));

    /* What the command prints is what its user is after: permission goes without saying. */
    if (self->run && !denied && !direct && !asked && !self->verbose && !self->dry_run) {
        show_texts(paper, "note: ", json_object_get(json_object_get(decision, "obligations"), "notices"));
        return;
    }
    pv_ink(paper, denied ? PV_INK_BAD : PV_INK_GOOD,
           denied   ? (asked ? "would be denied" : "denied")
           : direct ? "not brokered"
                    : (asked ? "would be allowed" : "allowed"));
    fputs(self->run ? ": run " : ": ", paper->stream);
    pv_text_print(paper->stream, self->command);
    for (uint32_t i = 0; i < self->n_words; i++) {
        fputc(' ', paper->stream);
        pv_text_print(paper->stream, self->words[i]);
    }
    fputc('\n', paper->stream);
    if (*text)
        line(paper, "  ", text);
    show_because(paper, "  ", decision, text);
    if (*names)
        line(paper, direct || !denied ? "  by " : "  by rule ", names);
    else if (denied && pv_message_bool(decision, "default") && !*text)
        fputs(asked ? "  no rule allows it\n" : "  no rule allows it ('selfserve explain' tells why)\n", paper->stream);
    /* A denial lists operations only where the plan has some that were not asked for. */
    if (!denied || pv_message_bool(verdict, "planned"))
        show_operations(paper, operations);
    if (!denied && !direct)
        show_duties(paper, json_object_get(decision, "obligations"), asked);
}

/* ---- Explanations ---- */

static bool clause_decides(const json_t *clause)
{
    return !is(clause, "kind", "duty");
}

/* What could be otherwise: not the command that was asked about, nor that somebody asks. */
static bool clause_may_change(const json_t *clause)
{
    return clause_decides(clause) && !is(clause, "kind", "commands") && !is(clause, "text", "everyone");
}

static void show_clauses(const struct pv_paper *paper, const json_t *clauses)
{
    for (size_t i = 0; i < json_array_size(clauses); i++) {
        const json_t *clause = json_array_get(clauses, i);
        if (!clause_decides(clause))
            continue;
        bool yes = is(clause, "truth", "true"), no = is(clause, "truth", "false");
        fputs("    ", paper->stream);
        pv_ink(paper, yes ? PV_INK_GOOD : no ? PV_INK_BAD : PV_INK_STRONG, yes ? "yes" : no ? "no " : "?  ");
        line(paper, "  ", text_of(clause, "text"));
    }
}

static void show_difference(const struct pv_paper *paper, const json_t *message)
{
    const json_t *rule = json_object_get(message, "rule");
    bool for_it = is(rule, "effect", "allow") || is(rule, "effect", "direct"), matched = is(message, "truth", "true");
    if (for_it == matched || is(rule, "effect", "require"))
        return;
    bool told = false;
    const json_t *clauses = json_object_get(message, "clauses");
    for (size_t i = 0; i < json_array_size(clauses); i++) {
        const json_t *clause = json_array_get(clauses, i);
        if (for_it ? !clause_decides(clause) || is(clause, "truth", "true") : !clause_may_change(clause))
            continue;
        if (!told)
            fputs(for_it ? "    it would allow this if this held:\n"
                         : "    it would not stand in the way if one of these did not hold:\n",
                  paper->stream);
        told = true;
        line(paper, "      ", text_of(clause, "text"));
    }
}

void pv_show_nearest(const struct pv_paper *paper, const json_t *verdict, const json_t *rules)
{
    bool denied = is(json_object_get(verdict, "decision"), "decision", "deny");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *message = json_array_get(rules, i);
        const json_t *rule = json_object_get(message, "rule");
        char name[600];
        rule_name(rule, name, sizeof(name));
        fputc('\n', paper->stream);
        pv_ink(paper, PV_INK_STRONG, text_of(rule, "effect"));
        fputs(is(message, "truth", "true")    ? " rule, which matches: "
              : is(message, "truth", "false") ? " rule, which does not match: "
                                              : " rule, which may match: ",
              paper->stream);
        line(paper, "", name);
        if (*text_of(message, "title"))
            line(paper, "    ", text_of(message, "title"));
        show_clauses(paper, json_object_get(message, "clauses"));
        if (!is(message, "truth", "true") || !denied) /* else it stands above */
            show_because(paper, "    because: ", message, "");
        if (denied)
            show_difference(paper, message);
    }
    fflush(paper->stream);
}

/* ---- Rights ---- */

static void add_clause(char *out, size_t size, const char *text)
{
    size_t len = strlen(out);
    if (*text && len < size)
        snprintf(out + len, size - len, "%s%s", len ? " " : "", text);
}

/* The duties of a require in words. */
static void duties_text(const json_t *duties, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(duties); i++) {
        const json_t *duty = json_array_get(duties, i);
        char one[700];
        if (is(duty, "kind", "timeout"))
            snprintf(one, sizeof(one), "timeout %llds",
                     (long long)json_integer_value(json_object_get(duty, "seconds")));
        else if (is(duty, "kind", "approval"))
            snprintf(one, sizeof(one), "approval by %.600s", text_of(duty, "text"));
        else
            snprintf(one, sizeof(one), "%s%s%.600s", text_of(duty, "kind"), *text_of(duty, "text") ? " " : "",
                     text_of(duty, "text"));
        add_clause(out, size, one);
    }
}

static void add_right(struct table *table, const json_t *message)
{
    const json_t *rule = json_object_get(message, "rule");
    char what[1000] = "", when[1000] = "", name[600], first[300], duties[800];
    const json_t *clauses = json_object_get(message, "clauses");
    for (size_t i = 0; i < json_array_size(clauses); i++) {
        const json_t *clause = json_array_get(clauses, i);
        const char *text = text_of(clause, "text");
        if (is(clause, "kind", "subject") || is(clause, "kind", "duty"))
            continue;
        if (is(clause, "kind", "commands"))
            text += strncmp(text, "to ", 3) == 0 ? 3 : 0;
        if (is(clause, "kind", "commands") || is(clause, "kind", "object") || is(clause, "kind", "sources"))
            add_clause(what, sizeof(what), text);
        else
            add_clause(when, sizeof(when), text);
    }
    duties_text(json_object_get(message, "duties"), duties, sizeof(duties));
    snprintf(first, sizeof(first), "%.250s%s", text_of(rule, "effect"), is(message, "truth", "unknown") ? "?" : "");
    rule_name(rule, name, sizeof(name));
    if (*duties) {
        char both[1800];
        snprintf(both, sizeof(both), "%s for %s", duties, what);
        const char *const cells[] = {first, both, when, name};
        add_row(table, cells);
    } else {
        const char *const cells[] = {first, what, when, name};
        add_row(table, cells);
    }
    const json_t *reasons = json_object_get(message, "because");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const json_t *text = json_array_get(reasons, i);
        const char *const cells[] = {"", json_string_value(text), "", ""};
        add_row(table, cells);
    }
}

void pv_show_rights(const struct pv_paper *paper, const json_t *hello, const json_t *rules)
{
    const json_t *policy = json_object_get(hello, "policy");
    if (json_is_object(policy)) {
        fprintf(paper->stream, "policy ");
        pv_ink(paper, PV_INK_STRONG, text_of(policy, "name"));
        fprintf(paper->stream, " version %lld", (long long)json_integer_value(json_object_get(policy, "version")));
        if (*text_of(policy, "title")) {
            fputs(": ", paper->stream);
            pv_text_print(paper->stream, text_of(policy, "title"));
        }
        fputs("\n\n", paper->stream);
    }
    if (json_array_size(rules) == 0) {
        fputs("no rule of the policy concerns you: everything is denied\n", paper->stream);
        return;
    }
    struct table table = {.n_columns = 4};
    const char *const head[] = {"EFFECT", "WHAT", "WHEN", "RULE"};
    add_row(&table, head);
    bool unsure = false;
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *message = json_array_get(rules, i);
        add_right(&table, message);
        unsure = unsure || is(message, "truth", "unknown");
    }
    print_table(paper, &table, "", true);
    if (unsure)
        fputs("\n? depends on what is asked for; 'selfserve explain' tells for one request\n", paper->stream);
    fflush(paper->stream);
}

/* ---- History ---- */

static void show_time(json_int_t seconds, char *out, size_t size)
{
    time_t when = (time_t)seconds;
    struct tm tm;
    if (!localtime_r(&when, &tm) || strftime(out, size, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(out, size, "?");
}

void pv_show_history(const struct pv_paper *paper, const json_t *rows)
{
    if (json_array_size(rows) == 0) {
        fputs("you have made no requests\n", paper->stream);
        return;
    }
    struct table table = {.n_columns = 5};
    const char *const head[] = {"TIME", "REQUEST", "DECISION", "OUTCOME", "ID"};
    add_row(&table, head);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char when[64], request[600], outcome[200];
        show_time(json_integer_value(json_object_get(row, "time")), when, sizeof(when));
        snprintf(request, sizeof(request), "%.200s", text_of(row, "command"));
        const json_t *words = json_object_get(row, "arguments");
        for (size_t k = 0; k < json_array_size(words); k++) {
            const json_t *word = json_array_get(words, k);
            add_clause(request, sizeof(request), json_string_value(word));
        }
        const json_t *status = json_object_get(row, "status");
        const char *ended = text_of(row, "outcome");
        if (json_is_integer(status) && json_integer_value(status) != 0)
            snprintf(outcome, sizeof(outcome), "%.150s (status %lld)", ended, (long long)json_integer_value(status));
        else
            snprintf(outcome, sizeof(outcome), "%.150s", *ended ? ended : "running");
        const char *const cells[] = {when, request, text_of(row, "decision"), outcome, text_of(row, "id")};
        add_row(&table, cells);
    }
    print_table(paper, &table, "", true);
    fflush(paper->stream);
}
