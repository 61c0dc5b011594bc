/* `proviso audit`: show, verify and export the agent's ledger. Read-only, beside a running agent or on a copy.
 *
 * The head is read before the database, because the agent may append in between: a head that is older than the database
 * is in order, a database that is older than the head is what `verify` is there to find. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agentd/ledger.h"
#include "agentd/ledger_read.h"
#include "engine/cli/cli.h"

#define DEFAULT_STATE "/var/lib/proviso"

enum { MAX_ANCHORS = 16, DEFAULT_LAST = 50, MISSES = 100000, SHOWN_FINDINGS = 200 };

enum {
    OPTION_STATE = 0x200,
    OPTION_LEDGER,
    OPTION_HEAD,
    OPTION_NO_HEAD,
    OPTION_ANCHOR,
    OPTION_FORMAT,
    OPTION_JSON,
    OPTION_USER,
    OPTION_UID,
    OPTION_REQUEST,
    OPTION_KIND,
    OPTION_SINCE,
    OPTION_FROM,
    OPTION_LAST,
    OPTION_ALL,
    OPTION_LONG,
};

struct arguments {
    const char *state, *ledger, *head;
    bool no_head, json, has_uid, has_request, full, all;
    struct pv_ledger_anchor anchors[MAX_ANCHORS];
    size_t n_anchors;
    const char *user;
    int64_t uid;
    uint64_t request, from, last;
    uint32_t kind;     /* 0: any */
    uint64_t since_ns; /* 0: any */
    char *path;        /* of the database; malloc'd */
};

/* ---- Options ---- */

static const struct argp_option where_rows[] = {
    {"state", OPTION_STATE, "DIR", 0, "The agent's state directory (" DEFAULT_STATE ")", 0},
    {"ledger", OPTION_LEDGER, "FILE", 0, "A ledger's database by itself, for instance a copy", 0},
    {"format", OPTION_FORMAT, "text|json", 0, "How to print", 0},
    {"json", OPTION_JSON, NULL, 0, "The same as --format json", 0},
    {0},
};

static const struct argp_option filter_rows[] = {
    {"user", OPTION_USER, "NAME", 0, "Only records of this user, by the name at that time", 0},
    {"uid", OPTION_UID, "N", 0, "Only records of this uid", 0},
    {"request", OPTION_REQUEST, "ID", 0, "Only records of this request", 0},
    {"kind", OPTION_KIND, "KIND", 0, "Only start, stop, policy, decision, outcome, own, abuse or event", 0},
    {"since", OPTION_SINCE, "TIME", 0, "Only from 2026-11-21, 2026-11-21T10:00:00 (local) or ...Z (UTC) on", 0},
    {"from", OPTION_FROM, "SEQ", 0, "Only from this record on", 0},
    {0},
};

static const struct argp_option show_rows[] = {
    {"last", OPTION_LAST, "N", 0, "Only the last N records (50)", 0},
    {"all", OPTION_ALL, NULL, 0, "All records", 0},
    {"long", OPTION_LONG, NULL, 0, "All that a record holds, not one line", 0},
    {0},
};

static const struct argp_option verify_rows[] = {
    {"head", OPTION_HEAD, "FILE", 0, "The monitor's head file (STATE/" PV_LEDGER_HEAD_FILE ")", 0},
    {"no-head", OPTION_NO_HEAD, NULL, 0, "Do not compare with the head file", 0},
    {"anchor", OPTION_ANCHOR, "SEQ:HASH", 0, "Compare with a point of the chain that was kept elsewhere", 0},
    {0},
};

static bool parse_number(const char *text, int base, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    *out = value;
    return errno == 0 && end != text && *end == '\0' &&
           strspn(text, base == 16 ? "0123456789abcdef" : "0123456789") == strlen(text);
}

static bool parse_time(const char *text, uint64_t *ns)
{
    struct tm tm = {.tm_isdst = -1};
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && *end == 'T')
        end = strptime(end + 1, "%H:%M:%S", &tm);
    if (!end)
        return false;
    bool utc = strcmp(end, "Z") == 0;
    if (*end != '\0' && !utc)
        return false;
    time_t t = utc ? timegm(&tm) : mktime(&tm);
    if (t < 0)
        return false;
    *ns = (uint64_t)t * 1000000000;
    return true;
}

static error_t parse_where(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_STATE: a->state = argument; return 0;
    case OPTION_LEDGER: a->ledger = argument; return 0;
    case OPTION_JSON: a->json = true; return 0;
    case OPTION_FORMAT:
        if (strcmp(argument, "text") != 0 && strcmp(argument, "json") != 0)
            argp_error(state, "the format is text or json, not `%s'", argument);
        a->json = strcmp(argument, "json") == 0;
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "`%s' is one argument too many", argument); return 0;
    case ARGP_KEY_END:
        if (a->state && a->ledger)
            argp_error(state, "--state and --ledger exclude each other");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_filter(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    uint64_t number;
    switch (key) {
    case OPTION_USER: a->user = argument; return 0;
    case OPTION_UID:
        if (!parse_number(argument, 10, &number) || number > UINT32_MAX)
            argp_error(state, "`%s' is no uid", argument);
        a->uid = (int64_t)number;
        a->has_uid = true;
        return 0;
    case OPTION_REQUEST:
        if (strlen(argument) > 16 || !parse_number(argument, 16, &a->request))
            argp_error(state, "`%s' is no request id", argument);
        a->has_request = true;
        return 0;
    case OPTION_KIND:
        for (uint32_t kind = 1; kind < PV_RECORD_N_KINDS; kind++)
            if (strcmp(argument, pv_record_kind_name(kind)) == 0)
                a->kind = kind;
        if (!a->kind)
            argp_error(state, "there is no kind `%s'", argument);
        return 0;
    case OPTION_SINCE:
        if (!parse_time(argument, &a->since_ns))
            argp_error(state, "`%s' is no time", argument);
        return 0;
    case OPTION_FROM:
        if (!parse_number(argument, 10, &a->from) || a->from > INT64_MAX)
            argp_error(state, "`%s' is no record's number", argument);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_show(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = a; return 0;
    case OPTION_LAST:
        if (!parse_number(argument, 10, &a->last) || a->last == 0 || a->last > 10000000)
            argp_error(state, "`%s' is no number of records", argument);
        return 0;
    case OPTION_ALL: a->all = true; return 0;
    case OPTION_LONG: a->full = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_export(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->child_inputs[1] = state->input;
    return 0;
}

static error_t parse_verify(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = a; return 0;
    case OPTION_HEAD: a->head = argument; return 0;
    case OPTION_NO_HEAD: a->no_head = true; return 0;
    case OPTION_ANCHOR:
        if (a->n_anchors == MAX_ANCHORS - 1)
            argp_error(state, "more than %d anchors", MAX_ANCHORS - 1);
        else if (pv_anchor_parse(argument, &a->anchors[a->n_anchors].head) != 0)
            argp_error(state, "`%s' is no anchor: it is SEQ:HASH, as verify prints it", argument);
        else
            a->anchors[a->n_anchors++].name = "the anchor";
        return 0;
    case ARGP_KEY_END:
        if (a->head && a->no_head)
            argp_error(state, "--head and --no-head exclude each other");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp where_argp = {where_rows, parse_where, NULL, NULL, NULL, NULL, NULL};
static const struct argp filter_argp = {filter_rows, parse_filter, NULL, NULL, NULL, NULL, NULL};
static const struct argp_child where_only[] = {{&where_argp, 0, NULL, 0}, {0}};
static const struct argp_child where_and_filter[] = {{&where_argp, 0, NULL, 0}, {&filter_argp, 0, NULL, 0}, {0}};

/* ---- Opening ---- */

/* Fills path (and head) from the options. 0, or -1 and said. */
static int find_files(struct arguments *a, char **head)
{
    const char *state = a->state ? a->state : DEFAULT_STATE;
    *head = NULL;
    int n = a->ledger ? asprintf(&a->path, "%s", a->ledger)
                      : asprintf(&a->path, "%s/" PV_LEDGER_STATE_DIR "/" PV_LEDGER_FILE, state);
    if (n >= 0 && !a->no_head && (a->head || !a->ledger))
        n = a->head ? asprintf(head, "%s", a->head) : asprintf(head, "%s/" PV_LEDGER_HEAD_FILE, state);
    if (n < 0) {
        pv_cli_error("out of memory");
        return -1;
    }
    /* Links on the way are the operator's; the last component must not be one. */
    char *slash = strrchr(a->path, '/');
    if (slash && slash != a->path) {
        *slash = '\0';
        char *real = realpath(a->path, NULL), *joined = NULL;
        if (!real) {
            pv_cli_error("%s: %s", a->path, strerror(errno));
            return -1;
        }
        n = asprintf(&joined, "%s/%s", real, slash + 1);
        free(real);
        free(a->path);
        a->path = n < 0 ? NULL : joined;
        if (n < 0) {
            pv_cli_error("out of memory");
            return -1;
        }
    }
    return 0;
}

/* 0, or the exit code of `proviso` with the reason said. */
static int open_reader(const struct arguments *a, struct pv_ledger_reader **reader)
{
    char why[512];
    int rc = pv_ledger_reader_open(a->path, reader, why, sizeof(why));
    if (rc == 0)
        return 0;
    pv_cli_error("%s", why);
    return rc == PV_E_SYNTAX ? PV_CLI_FINDING : PV_CLI_ERROR;
}

/* ---- show and export ---- */

static bool same_name(struct pv_str text, const char *name)
{
    return text.len == strlen(name) && memcmp(text.ptr, name, text.len) == 0;
}

static bool is_users(const struct pv_record *r, const char *name)
{
    switch (r->kind) {
    case PV_RECORD_DECISION: return same_name(r->decision.user, name);
    case PV_RECORD_OWN: return same_name(r->own.user, name);
    case PV_RECORD_ABUSE: return same_name(r->abuse.user, name);
    default: return false;
    }
}

/* Columns answer most filters; they can have been altered, which `verify` tells. */
static bool matches(const struct arguments *a, const struct pv_ledger_row *row)
{
    if ((a->has_uid && row->uid != a->uid) || (a->has_request && row->request != a->request) ||
        (a->kind && row->kind != a->kind) || row->time_ns < a->since_ns || row->seq < a->from)
        return false;
    if (!a->user)
        return true;
    struct pv_record record;
    void *arena;
    if (pv_record_decode(row->kind, row->body, row->len, &record, &arena) != 0)
        return false;
    bool good = is_users(&record, a->user);
    free(arena);
    return good;
}

static void print_time(uint64_t ns)
{
    char text[40];
    struct tm tm;
    time_t t = (time_t)(ns / 1000000000);
    if (!localtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm) == 0)
        snprintf(text, sizeof(text), "?");
    fputs(text, stdout);
}

static bool print_row(const struct arguments *a, const struct pv_ledger_row *row)
{
    if (a->json)
        return pv_cli_print_json(stdout, pv_ledger_json(row));
    struct pv_record record;
    void *arena;
    const char *kind = pv_record_kind_name(row->kind);
    int rc = pv_record_decode(row->kind, row->body, row->len, &record, &arena);
    if (rc == PV_E_NOMEM) {
        pv_cli_error("out of memory");
        return false;
    }
    printf("%" PRIu64 "  ", row->seq);
    print_time(row->time_ns);
    printf("  %-8s  ", kind ? kind : "?");
    if (row->request)
        printf("%016" PRIx64 "  ", row->request);
    if (rc == 0)
        pv_record_summary(stdout, &record);
    else
        fputs("(not a record: the ledger was altered)", stdout);
    putchar('\n');
    if (a->full && rc == 0) {
        if (record.uid >= 0)
            printf("    uid: %" PRId64 "\n", record.uid);
        pv_record_dump(stdout, &record, "    ");
        fputs("    hash: ", stdout);
        for (size_t i = 0; i < sizeof(row->hash); i++)
            printf("%02x", row->hash[i]);
        putchar('\n');
    }
    if (rc == 0)
        free(arena);
    return !ferror(stdout);
}

static int print_all(const struct arguments *a, struct pv_ledger_reader *reader)
{
    struct pv_ledger_row row;
    for (uint64_t seq = a->from ? a->from : 1; pv_ledger_next(reader, seq, &row) == 1; seq = row.seq + 1)
        if (matches(a, &row) && !print_row(a, &row))
            return PV_CLI_ERROR;
    return PV_CLI_GOOD;
}

/* The last N that match, found from the end. */
static int print_last(const struct arguments *a, struct pv_ledger_reader *reader)
{
    struct pv_ledger_row row;
    uint64_t last = pv_ledger_last(reader), n = 0, misses = 0;
    uint64_t *seqs = calloc(a->last, sizeof(*seqs));
    int exit_code = PV_CLI_GOOD;
    if (!seqs)
        return pv_cli_error("out of memory");
    for (uint64_t seq = last; seq >= 1 && seq >= a->from && n < a->last && misses < MISSES; seq--) {
        if (pv_ledger_get(reader, seq, &row) != 1) {
            misses++;
            continue;
        }
        misses = 0;
        if (matches(a, &row))
            seqs[n++] = seq;
    }
    while (n-- && exit_code == PV_CLI_GOOD)
        if (pv_ledger_get(reader, seqs[n], &row) == 1 && !print_row(a, &row))
            exit_code = PV_CLI_ERROR;
    free(seqs);
    return exit_code;
}

static int show_or_export(struct arguments *a)
{
    struct pv_ledger_reader *reader = NULL;
    char *head = NULL;
    a->no_head = true;
    if (find_files(a, &head) != 0)
        return PV_CLI_ERROR;
    int exit_code = open_reader(a, &reader);
    if (exit_code == 0)
        exit_code = a->all ? print_all(a, reader) : print_last(a, reader);
    pv_ledger_reader_close(reader);
    return pv_cli_finish(exit_code);
}

static int show(int argc, char **argv)
{
    static const struct argp argp = {
        show_rows, parse_show, NULL, "Show what the agent recorded, the latest last.", where_and_filter, NULL, NULL};
    struct arguments a = {.last = DEFAULT_LAST};
    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        return PV_CLI_ERROR;
    int exit_code = show_or_export(&a);
    free(a.path);
    return exit_code;
}

static int export(int argc, char **argv)
{
    static const struct argp argp = {NULL,
                                     parse_export,
                                     NULL,
                                     "Print every record as one line of JSON, of schema proviso/record/1.",
                                     where_and_filter,
                                     NULL,
                                     NULL};
    struct arguments a = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        return PV_CLI_ERROR;
    a.all = a.json = true;
    int exit_code = show_or_export(&a);
    free(a.path);
    return exit_code;
}

/* ---- verify ---- */

struct findings {
    bool json;
    json_t *list;
    uint64_t n;
};

static void add_finding(struct findings *f, const char *kind, uint64_t seq, uint64_t last, const char *text)
{
    f->n++;
    if (!f->json) {
        if (f->n <= SHOWN_FINDINGS)
            printf("%s\n", text); /* escaped where it was made */
        return;
    }
    json_t *one = json_object();
    json_object_set_new(one, "kind", json_string(kind));
    json_object_set_new(one, "seq", seq ? json_integer((json_int_t)seq) : json_null());
    json_object_set_new(one, "last", seq ? json_integer((json_int_t)last) : json_null());
    json_object_set_new(one, "text", pv_cli_json_text(text, strlen(text)));
    json_array_append_new(f->list, one);
}

static void on_finding(void *context, const struct pv_ledger_finding *finding)
{
    add_finding(context, pv_ledger_found_name(finding->kind), finding->seq, finding->last, finding->text);
}

/* Reads the head into *out. 1 read, 0 not there, -1 damaged, -2 cannot be read, and said. */
static int read_head(const char *path, struct pv_head *out)
{
    char text[PV_HEAD_TEXT + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (n < 0) {
        pv_cli_error("cannot read %s: %s (--no-head leaves it out)", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -2;
    }
    close(fd);
    return pv_head_parse(text, (size_t)n, out) == 0 ? 1 : -1;
}

static void tell_clean(const struct pv_ledger_summary *s, bool compared)
{
    char anchor[PV_ANCHOR_TEXT];
    if (s->n_records == 0) {
        puts("the ledger is empty");
        return;
    }
    pv_anchor_format(&s->last, anchor);
    printf("the ledger is whole: %" PRIu64 " record%s, from ", s->n_records, s->n_records == 1 ? "" : "s");
    print_time(s->first_time_ns);
    fputs(" to ", stdout);
    print_time(s->last_time_ns);
    printf("\nanchor %s\n", anchor);
    if (!compared)
        puts("no head or anchor was compared: records cut off its end would not be seen");
}

static int tell_json(struct findings *f, const struct pv_ledger_summary *s, bool compared)
{
    char anchor[PV_ANCHOR_TEXT];
    pv_anchor_format(&s->last, anchor);
    json_t *out = pv_cli_object("audit-verify");
    json_object_set_new(out, "clean", json_boolean(f->n == 0));
    json_object_set_new(out, "records", json_integer((json_int_t)s->n_records));
    json_object_set_new(out, "anchor", s->last.seq ? json_string(anchor) : json_null());
    json_object_set_new(out, "end_compared", json_boolean(compared));
    json_object_set(out, "findings", f->list);
    return pv_cli_print_json(stdout, out) ? PV_CLI_GOOD : PV_CLI_ERROR;
}

static int run_verify(struct arguments *a, const char *head, struct findings *f)
{
    struct pv_ledger_reader *reader;
    struct pv_ledger_summary summary = {0};
    char why[512];
    int had_head = 2; /* 2: not asked for */
    if (head) {
        had_head = read_head(head, &a->anchors[a->n_anchors].head);
        if (had_head == -2)
            return PV_CLI_ERROR;
        if (had_head == 1)
            a->anchors[a->n_anchors++].name = "the head";
    }
    int rc = pv_ledger_reader_open(a->path, &reader, why, sizeof(why));
    if (rc == PV_E_SYNTAX) {
        char shown[600];
        pv_escape(shown, sizeof(shown), why, strlen(why));
        add_finding(f, pv_ledger_found_name(PV_FOUND_FILE), 0, 0, shown);
    } else if (rc != 0) {
        return pv_cli_error("%s", why);
    } else {
        rc = pv_ledger_verify(reader, a->anchors, a->n_anchors, on_finding, f, &summary);
        pv_ledger_reader_close(reader);
        if (rc != 0)
            return pv_cli_error("out of memory");
    }
    if (had_head == -1)
        add_finding(f, "head", 0, 0, "the head file is damaged");
    if (had_head == 0 && summary.n_records)
        add_finding(f, "head", 0, 0, "the head file is missing, and the ledger is not empty");
    if (f->json) {
        if (tell_json(f, &summary, a->n_anchors > 0) != PV_CLI_GOOD)
            return PV_CLI_ERROR;
    } else if (f->n == 0) {
        tell_clean(&summary, a->n_anchors > 0);
    } else {
        if (f->n > SHOWN_FINDINGS)
            printf("... and %" PRIu64 " more\n", f->n - SHOWN_FINDINGS);
        printf("%" PRIu64 " finding%s in %" PRIu64 " record%s\n", f->n, f->n == 1 ? "" : "s", summary.n_records,
               summary.n_records == 1 ? "" : "s");
    }
    return f->n ? PV_CLI_FINDING : PV_CLI_GOOD;
}

static int verify(int argc, char **argv)
{
    static const struct argp argp = {
        verify_rows, parse_verify, NULL, "Check that no record was altered, taken out, put in, reordered or cut off.",
        where_only,  NULL,         NULL};
    struct arguments a = {0};
    char *head = NULL;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        return PV_CLI_ERROR;
    struct findings f = {.json = a.json, .list = json_array()};
    int exit_code = PV_CLI_ERROR;
    if (find_files(&a, &head) == 0)
        exit_code = run_verify(&a, head, &f);
    json_decref(f.list);
    free(head);
    free(a.path);
    return pv_cli_finish(exit_code);
}

int pv_cli_audit(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *summary;
    } verbs[] = {
        {"show", show, "what the agent recorded"},
        {"verify", verify, "whether the ledger is whole"},
        {"export", export, "every record as JSON lines"},
    };
    const size_t n = sizeof(verbs) / sizeof(verbs[0]);
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);
    for (size_t i = 0; argc > 1 && i < n; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        static char title[40];
        snprintf(title, sizeof(title), "proviso audit %s", verbs[i].name);
        argv[1] = title;
        program_invocation_name = title;
        return verbs[i].run(argc - 1, argv + 1);
    }
    if (argc > 1 && !help)
        return pv_cli_error("there is no `audit %s'; there are show, verify and export", argv[1]);
    FILE *out = help ? stdout : stderr;
    fputs("Usage: proviso audit VERB [OPTION...]\n\n", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\n`proviso audit VERB --help' tells more. Exit: 0 good, 1 a finding, 2 usage, input or output.\n", out);
    return help ? pv_cli_finish(PV_CLI_GOOD) : PV_CLI_ERROR;
}
