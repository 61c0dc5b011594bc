/* Inside the program `proviso`: what its verbs share. One file a verb; the verb table in main.c is the architecture.
 *
 * Verbs return an exit code and print their own errors to standard error as `proviso: ...`. Their output proper goes to
 * standard output, so that it can be piped. */
#ifndef PROVISO_ENGINE_CLI_CLI_H
#define PROVISO_ENGINE_CLI_CLI_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "agentd/minisign.h"
#include "engine/compile.h"
#include "engine/coverage.h"
#include "engine/engine.h"
#include "engine/format.h"
#include "runtime/bundle.h"
#include "runtime/proviso.h"

enum {
    PV_CLI_GOOD = 0,
    PV_CLI_FINDING = 1, /* errors in a policy, failed tests */
    PV_CLI_ERROR = 2,   /* usage, input or output, nothing to do */
    PV_CLI_DIRECT = 3,  /* eval alone: 0 allow, 1 deny, 3 direct */
};

/* ---- Verbs ---- */

int pv_cli_check(int argc, char **argv);
int pv_cli_fmt(int argc, char **argv);
int pv_cli_test(int argc, char **argv);
int pv_cli_compile(int argc, char **argv);
int pv_cli_inspect(int argc, char **argv);
int pv_cli_eval(int argc, char **argv);
int pv_cli_explain(int argc, char **argv);
int pv_cli_key(int argc, char **argv);
int pv_cli_audit(int argc, char **argv);

/* ---- output.c ---- */

/* `proviso: sentence` on standard error. Returns PV_CLI_ERROR. */
int pv_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text of others with control characters escaped. */
void pv_cli_put(FILE *out, const char *text, size_t len);
/* Whether colour is wanted on a stream: a terminal, and no NO_COLOR. */
bool pv_cli_colour(FILE *out);
/* An object that begins with "schema": "proviso/NAME/1". */
json_t *pv_cli_object(const char *name);
/* A string of others' bytes: what is not UTF-8 becomes U+FFFD. */
json_t *pv_cli_json_text(const char *text, size_t len);
/* Prints it on one line and releases it. False where memory or output failed. */
bool pv_cli_print_json(FILE *out, json_t *value);
/* Whether standard output took everything; else says so. The exit code, or PV_CLI_ERROR. */
int pv_cli_finish(int exit_code);
/* Reads a file ("-" for standard input) of at most `limit` bytes; malloc'd with a NUL behind it. 0, or -1 and said. */
int pv_cli_read(const char *path, size_t limit, char **data, size_t *len);
/* Writes a file whole or not at all: a temporary one beside it, synced, then renamed. 0, or -1 and said. */
int pv_cli_write(const char *path, const void *data, size_t len);
/* The same for a file that is there: its mode and owner stay, and a link to it stays a link. */
int pv_cli_rewrite(const char *path, const void *data, size_t len);

/* ---- host.c ---- */

/* Zone files and SHA-256 of this host; no signature check. */
extern const struct pv_host pv_cli_host;

/* ---- files.c ---- */

/* The .policy files that arguments name: files as they are, directories searched, sorted by path. */
struct pv_cli_files {
    char **paths;
    size_t n;
};
int pv_cli_files(struct pv_cli_files *files, char **arguments, size_t n_arguments); /* 0, or -1 and said */
void pv_cli_files_free(struct pv_cli_files *files);

/* ---- diff.c ---- */

/* A unified diff from one text to another, both shown as `path`, three lines of context; nothing where they are equal.
 * 0, or -1 without memory. */
int pv_cli_diff(FILE *out, const char *path, const char *from, size_t from_len, const char *to, size_t to_len,
                bool colour);

/* ---- policy.c ---- */

/* Options that every verb which reads policies takes: --library, --pubkey. */
struct pv_cli_policy_options {
    const char **library;
    size_t n_library;
    const char *pubkey;
    bool lint;     /* tell what is likely a mistake */
    int64_t today; /* of these: days since 1970-01-01 */
};
extern const struct argp pv_cli_library_argp; /* --library alone; its input is a struct pv_cli_policy_options */
extern const struct argp pv_cli_policy_argp;  /* and --pubkey */
void pv_cli_policy_options_free(struct pv_cli_policy_options *options);
/* Today in UTC, as days since 1970-01-01. */
int64_t pv_cli_today(void);
/* The library directories to search: as given, else PROVISO_LIBRARY, else the installed one, else the source tree's. */
struct pv_load_options pv_cli_load_options(struct pv_cli_policy_options *options);

/* A policy read from its text or from a bundle. */
struct pv_cli_policy {
    struct pv_compilation made;                /* from text; program is NULL for a bundle */
    void *bytes;                               /* of a bundle's file */
    size_t len;                                /* of the bundle, read or made */
    struct pv_bundle *bundle;                  /* NULL where there are errors */
    bool has_signature;                        /* a bundle with a signature file beside it */
    bool verified;                             /* and the signature was checked */
    char comment[PV_MINISIGN_COMMENT_MAX + 1]; /* its trusted comment */
};
/* Compiles a policy's text, and loads what comes out where a bundle is the goal and there are no errors. The verdict is
 * in policy->made.program->diags. 0, or -1 and said (then nothing needs to be closed). */
int pv_cli_policy_compile(struct pv_cli_policy *policy, const char *path, struct pv_cli_policy_options *options,
                          enum pv_compile_goal goal);
/* Opens either kind for deciding: text is checked and compiled, a bundle verified with --pubkey, unless `unverified`
 * allows to go without. Everything that is wrong is said on standard error. 0 or -1. */
int pv_cli_policy_open(struct pv_cli_policy *policy, const char *path, struct pv_cli_policy_options *options,
                       bool unverified);
void pv_cli_policy_close(struct pv_cli_policy *policy);
/* The file that was named could not be read at all: the caller's error, and none of a policy. */
bool pv_cli_policy_unreadable(const struct pv_cli_policy *policy);
/* The diagnostics for people, errors alone or all. */
void pv_cli_policy_complain(struct pv_cli_policy *policy, FILE *out, bool warnings);

/* ---- json_request.c ---- */

#define PV_CLI_MAX_REQUEST (64u << 20) /* bytes of a request's JSON: a plan of 100,000 operations fits */

/* A request as read: one operation, or several. */
struct pv_cli_request {
    json_t *root;             /* strings are borrowed from it */
    struct pv_request *asked; /* of several: the command that was asked for, what the operations tell unknown */
    struct pv_request **operations;
    size_t n_operations;
    bool several;  /* it has "operations" */
    void **blocks; /* freed with it */
    size_t n_blocks;
};
/* Reads one request. 0, or negative with the sentence in *error. */
int pv_cli_request_read(struct pv_cli_request *request, const struct pv_bundle *bundle, const char *text, size_t len,
                        struct pv_error *error);
/* Marks as unknown what the operations of a request tell one by one: packages and sources. */
int pv_cli_request_asked(struct pv_request *request);
void pv_cli_request_free(struct pv_cli_request *request);

/* ---- decide.c ---- */

/* Decides a request. `each` (which may be NULL) is called for each of several operations, in order, with a decision
 * that is valid for the call; where the request as a whole is direct, with the request as asked for. *joined is freed
 * by pv_decision_free(). 0, or PV_E_NOMEM, or what `each` returned. */
typedef int pv_cli_each(void *context, const struct pv_request *operation, const struct pv_decision *decision);
int pv_cli_decide(struct pv_decision **joined, const struct pv_cli_request *request, pv_cli_each *each, void *context);

/* The rules that nearly decided: same command, not matching, fewest false clauses first, then source order. Fills at
 * most n of `rules`; returns how many. */
size_t pv_cli_nearest_rules(const struct pv_request *request, uint32_t *rules, size_t n);
const char *pv_cli_truth_name(enum pv_truth truth);
const char *pv_cli_effect_name(enum pv_effect effect);
const char *pv_cli_rule_effect(const struct pvb_rule *rule); /* "allow", "deny", "require", "direct" */

/* ---- json_decision.c ---- */

/* Decides, and gives the decision in the form of the documented schema; where `explain` is a policy, the reasoning
 * beside it. NULL without memory. */
json_t *pv_cli_decision_json(const struct pv_cli_request *request, const struct pv_cli_policy *explain,
                             enum pv_effect *effect);
json_t *pv_cli_rule_json(const struct pv_bundle *bundle, uint32_t rule);

/* ---- fix.c ---- */

/* Applies the certain fixes of a file's own diagnostics, and tells how many. 0, or -1 and said. */
int pv_cli_fix(const char *path, struct pv_cli_policy_options *options);

/* ---- values.c ---- */

/* The slots that a clause reads, by its code, each once; at most `capacity`. Returns how many. */
uint32_t pv_cli_clause_reads(const struct pv_bundle *bundle, uint32_t clause, uint16_t *slots, uint32_t capacity);
const char *pv_cli_slot_path(const struct pv_bundle *bundle, uint32_t slot);
void pv_cli_put_value(FILE *out, const struct pv_value *value);
json_t *pv_cli_value_json(const struct pv_value *value); /* null where it is not present */
/* [{"path": "user.name", "value": "alice", "text": "user.name is \"alice\""}, ...] */
json_t *pv_cli_values_json(const struct pv_request *request, const uint16_t *slots, uint32_t n);
/* Closes a stream of open_memstream() and gives what was written; NULL without memory. */
json_t *pv_cli_memory_text(FILE **out, char **text, size_t *len);

/* ---- changes.c ---- */

/* What would turn a denial into an allow: {"found": [...], "exhausted": false}. NULL without memory. */
json_t *pv_cli_changes(const struct pv_request *request, const struct pv_decision *decision, bool direct_too);

/* ---- explanation.c, explanation_text.c ---- */

/* The text of a span on one line, without comments. */
json_t *pv_cli_source_text(const struct pv_cli_policy *policy, struct pv_span span);
/* Why an operation is decided so, in the form of the documented schema. `direct_too` as it was decided. NULL without
 * memory. */
json_t *pv_cli_explanation(const struct pv_cli_policy *policy, const struct pv_request *request,
                           const struct pv_decision *decision, bool direct_too);
/* Its rules that decided; at most so many of the nearest others, and what would change a denial. `before` begins each
 * line. */
void pv_cli_explanation_matching(FILE *out, json_t *explanation, const char *before);
void pv_cli_explanation_others(FILE *out, json_t *explanation, const char *before, size_t most);

/* ---- json_diag.c ---- */

/* Adds the diagnostics of one compilation to an array. */
int pv_cli_diags_json(json_t *array, struct pv_diags *diags);

/* ---- pages.c, made from docs/diagnostics ---- */

struct pv_cli_page {
    const char *code; /* "PV0003"; NULL ends the list */
    const char *text; /* Markdown */
};
extern const struct pv_cli_page pv_cli_pages[];
/* A code's page as it is, in explain.c; "" for none. */
const char *pv_cli_page(const char *code);

/* ---- sarif.c ---- */

/* A SARIF 2.1.0 log of the `files` of `check --json`. NULL without memory. */
json_t *pv_cli_sarif(json_t *files);

/* ---- test_run.c, test_output.c ---- */

/* Runs one test; an array of {"line": N, "text": "...", "explanations": [...]}, empty where it passed. What it has seen
 * is added to `coverage`, which may be NULL. NULL without memory. */
json_t *pv_cli_run_test(const struct pv_cli_policy *policy, const struct pv_ir_test *test,
                        struct pv_coverage *coverage);

enum pv_cli_test_format { PV_CLI_TEST_TEXT, PV_CLI_TEST_TAP, PV_CLI_TEST_JUNIT, PV_CLI_TEST_JSON };
int pv_cli_test_format(const char *name, enum pv_cli_test_format *format); /* 0 or -1 */
/* Prints the results, an object of schema proviso/test/1. */
void pv_cli_test_print(json_t *output, enum pv_cli_test_format format);

/* ---- coverage.c, coverage_output.c ---- */

/* Coverage of several policies, folded together. Zeroed at first. */
struct pv_cli_coverage {
    json_t *files;
    bool failed; /* no memory */
};
void pv_cli_coverage_fold(struct pv_cli_coverage *all, const struct pv_cli_policy *policy,
                          const struct pv_coverage *coverage);
/* The report, an object of schema proviso/coverage/1, and the end of *all. NULL without memory. */
json_t *pv_cli_coverage_json(struct pv_cli_coverage *all);
void pv_cli_coverage_text(FILE *out, json_t *report, const char *before); /* `before` begins each line */
void pv_cli_coverage_lcov(FILE *out, json_t *report);

/* ---- passphrase.c ---- */

#define PV_CLI_NO_FD (-1)
/* Reads a passphrase from a descriptor (its first line), or asks for it on the terminal, twice where `confirm`. The
 * buffer is sodium_malloc'd and freed by sodium_free(). 0, or -1 and said. */
int pv_cli_passphrase(int fd, bool confirm, const char *prompt, char **passphrase, size_t *len);
/* The descriptor that an argument names. 0 or -1. */
int pv_cli_descriptor(const char *text, int *fd);
/* Reads a secret key file, with a passphrase where it is encrypted. 0, or -1 and said. */
int pv_cli_secret_key(const char *path, int passphrase_fd, struct pv_minisign_seckey **key);

#endif
