/* Seeds that are not text, made of the project's own files instead of being kept as bytes: seeds ROOT OUT writes
 * OUT/source/ (the policies of the tree), OUT/bundle/ (bundles of those that compile, and the assembled one of the
 * runtime's tests), OUT/wire/ (one frame or more for each decoder) and OUT/zone/ (time zones of this machine). */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "agentd/frontend.h"
#include "agentd/plan.h"
#include "agentd/record.h"
#include "agentd/request_wire.h"
#include "agentd/runner.h"
#include "engine/engine.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/wire.h"
#include "tests/runtime/assemble.h"

static const char *root, *out;

static void write_seed(const char *target, const char *name, const void *head, size_t n, const void *data, size_t len)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/%s/%s", out, target, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(head, 1, n, f) != n || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

/* ---- policies and their bundles ---- */

static void compile_seed(const char *path, const char *name)
{
    static char library[4096];
    const char *libraries[] = {library};
    snprintf(library, sizeof library, "%s/policies", root);
    struct pv_compile_options options = {
        .load = {.library = libraries, .n_library = 1}, .goal = PV_COMPILE_EVALUATE, .host = &fuzz_host};
    struct pv_compilation made;
    FUZZ_CHECK(pv_compile_file(path, &options, &made) == 0, "no memory");
    if (made.bundle && made.bundle_len < 32 << 10)
        write_seed("bundle", name, "", 0, made.bundle, made.bundle_len);
    pv_compile_free(&made);
}

static unsigned from_folder(const char *folder)
{
    char path[8600], name[300];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        exit(1);
    }
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        struct stat status;
        snprintf(path, sizeof path, "%s/%s/%s", root, folder, entry->d_name);
        if (!dot || strcmp(dot, ".policy") != 0 || stat(path, &status) != 0 || status.st_size > 16 << 10)
            continue;
        char *text = read_text(path);
        snprintf(name, sizeof name, "%.2s%zu_%s", folder, strlen(folder), entry->d_name);
        write_seed("source", name, "", 0, text, strlen(text));
        free(text);
        compile_seed(path, name);
        n++;
    }
    closedir(dir);
    return n;
}

static void assembled(void)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/tests/runtime/base.txt", root);
    char *text = read_text(path);
    size_t len;
    uint8_t *bytes = assemble(text, &len);
    write_seed("bundle", "assembled", "", 0, bytes, len);
    free(bytes);
    free(text);
}

/* ---- frames ---- */

static uint8_t buffer[1 << 16];
static struct pv_wbuf w;

static struct pv_wbuf *start(void)
{
    pv_wbuf_init(&w, buffer, sizeof buffer);
    return &w;
}

static void wire_seed(const char *name, uint8_t decoder)
{
    if (w.overflow) {
        fprintf(stderr, "the frame %s is one that no reader takes\n", name);
        exit(1);
    }
    write_seed("wire", name, &decoder, 1, buffer, w.len);
}

static void requests(void)
{
    struct pv_wire_request request = {.protocol = PV_PROTOCOL,
                                      .verb = PV_VERB_BROKER,
                                      .user_name = "alice",
                                      .counter = 7,
                                      .timeout = 600,
                                      .cwd = "/home/alice",
                                      .flags = PV_REQUEST_DRY_RUN,
                                      .command = "install",
                                      .args = {"hello", "git"},
                                      .n_args = 2,
                                      .version = "2.10-3",
                                      .source = "internal",
                                      .reason = "work",
                                      .options = {{"lines", true, "3"}, {"no-block", false, ""}},
                                      .n_options = 2};
    pv_wire_request_encode(start(), &request);
    wire_seed("request", FUZZ_REQUEST);
    request = (struct pv_wire_request){.protocol = PV_PROTOCOL, .verb = PV_VERB_HISTORY, .counter = 1};
    pv_wire_request_encode(start(), &request);
    wire_seed("request_history", FUZZ_REQUEST);
}

static void records(void)
{
    struct pv_str texts[] = {pv_str_of("hello"), pv_str_of("g\xc3\xa9")};
    struct pv_record_option options[] = {{pv_str_of("lines"), true, pv_str_of("3")}};
    struct pv_record_duty duties[] = {{.kind = PV_D_NOTICE, .text = pv_str_of("told")}};
    struct pv_record_rule rules[] = {
        {.id = pv_str_of("tools"), .kind = PV_RULE_ALLOW, .file = pv_str_of("a.policy"), .line = 3}};
    struct pv_record_verdict verdict = {.effect = PV_ALLOW,
                                        .rules = rules,
                                        .n_rules = 1,
                                        .because = texts,
                                        .n_because = 2,
                                        .reason = true,
                                        .has_timeout = true,
                                        .timeout = 600,
                                        .account = pv_str_of(""),
                                        .duties = duties,
                                        .n_duties = 1};
    struct pv_record_operation operation = {.verdict = verdict};
    struct pv_record all[] = {
        {.kind = PV_RECORD_DECISION,
         .uid = 1000,
         .request = 77,
         .decision = {.user = pv_str_of("alice"),
                      .pid = 4,
                      .executable = pv_str_of("/usr/bin/selfserve"),
                      .verb = pv_str_of("install"),
                      .args = texts,
                      .n_args = 2,
                      .options = options,
                      .n_options = 1,
                      .phase = PV_DECIDED_PLAN,
                      .time = 1795255200,
                      .zone = pv_str_of("Europe/Paris"),
                      .policy = pv_str_of("workstations"),
                      .policy_version = 7,
                      .changes = 1,
                      .runs = true,
                      .verdict = verdict,
                      .operations = &operation,
                      .n_operations = 1}},
        {.kind = PV_RECORD_OUTCOME,
         .uid = 1000,
         .request = 77,
         .outcome = {.word = pv_str_of("done"), .started_ns = 1, .ended_ns = 2, .sentence = pv_str_of("")}},
        {.kind = PV_RECORD_OWN,
         .uid = 1000,
         .request = 77,
         .own = {.granted = true,
                 .root = pv_str_of("/"),
                 .package = pv_str_of("hello"),
                 .arch = pv_str_of("amd64"),
                 .user = pv_str_of("alice"),
                 .reason = pv_str_of("installed")}},
        {.kind = PV_RECORD_ABUSE,
         .uid = 1000,
         .abuse =
             {.kind = PV_ABUSE_REPLAY, .user = pv_str_of("bob"), .pid = 5, .detail = pv_str_of("\x1b[2J"), .count = 3}},
        {.kind = PV_RECORD_EVENT, .uid = PV_RECORD_NOBODY, .event = {pv_str_of("self-test"), pv_str_of("all well")}}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char name[32];
        pv_put_u8(start(), (uint8_t)all[i].kind);
        pv_record_encode(&w, &all[i]);
        snprintf(name, sizeof name, "record_%zu", i);
        wire_seed(name, FUZZ_RECORD);
    }
}

static int to_buffer(void *context, const void *bytes, size_t len)
{
    pv_put_raw(context, bytes, len);
    return 0;
}

static void plans(void)
{
    static const char *const wanted_by[] = {"hello"};
    struct pv_plan plan = {0};
    struct pv_plan_op op = {.action = PV_PLAN_UPGRADE,
                            .dependency = true,
                            .name = "libc6",
                            .arch = "amd64",
                            .old_version = "2.36-8",
                            .new_version = "2.36-9",
                            .source = "internal",
                            .section = "libs",
                            .filename = "pool/libc6.deb",
                            .download_size = 99,
                            .wanted_by = wanted_by,
                            .n_wanted_by = 1};
    memset(op.sha256, 0x5a, sizeof op.sha256);
    pv_plan_op_encode(start(), &op);
    wire_seed("plan_op", FUZZ_PLAN_OP);
    FUZZ_CHECK(pv_plan_add(&plan, &op) == 0, "not an operation");
    op = (struct pv_plan_op){.action = PV_PLAN_REMOVE,
                             .name = "nano",
                             .arch = "amd64",
                             .old_version = "7.2",
                             .new_version = "",
                             .source = "",
                             .section = "",
                             .filename = ""};
    FUZZ_CHECK(pv_plan_add(&plan, &op) == 0, "not an operation");
    FUZZ_CHECK(pv_plan_canonical(&plan, to_buffer, start()) == 0, "not a plan");
    wire_seed("plan_text", FUZZ_PLAN_TEXT);
    pv_plan_clear(&plan);
    struct pv_plan_state state = {.name = "nano",
                                  .arch = "amd64",
                                  .installed = true,
                                  .installed_version = "7.2",
                                  .section = "editors",
                                  .candidate_version = "7.3",
                                  .candidate_source = "internal",
                                  .download_size = 5,
                                  .summary = "an editor"};
    pv_plan_state_encode(start(), &state);
    wire_seed("plan_state", FUZZ_PLAN_STATE);
    start();
    pv_put_u32(&w, PV_PLANNER_PLAN);
    pv_put_u32(&w, PV_VERB_INSTALL);
    pv_put_cstr(&w, "/");
    pv_put_cstr(&w, "/var/lib/proviso/set/apt.conf");
    pv_put_u32(&w, 0);
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "internal");
    pv_put_i64(&w, 1);
    pv_put_bool(&w, false);
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "hello");
    pv_put_cstr(&w, "");
    pv_put_cstr(&w, "2.10-3");
    wire_seed("plan_request", FUZZ_PLAN_REQUEST);
}

static void jobs(void)
{
    static const uint32_t groups[] = {1000, 27};
    static const char *const argv[] = {"/usr/bin/true", "--x", NULL}, *const env[] = {"PATH=/bin", NULL};
    struct pv_run_job job = {.dir = "/run/proviso/jobs/1",
                             .step = "apply",
                             .flags = PV_RUN_F_DPKG | PV_RUN_F_PROGRESS,
                             .uid = 1000,
                             .gid = 1000,
                             .groups = groups,
                             .n_groups = 2,
                             .cwd = "/",
                             .limit = 60,
                             .hard_limit = 120,
                             .output_max = 1 << 20,
                             .argv = argv,
                             .n_argv = 2,
                             .env = env,
                             .n_env = 1};
    pv_run_job_encode(start(), &job);
    wire_seed("job", FUZZ_JOB);
    struct pv_run_status status = {.end = PV_RUN_EXITED, .status = 3, .started = 1, .ended = 2};
    pv_run_status_encode(start(), &status);
    wire_seed("status", FUZZ_STATUS);
}

static void decision(void)
{
    pv_put_u32(&w, PV_ALLOW);
    pv_put_bool(&w, false);
    pv_put_u32(&w, 1);
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "tools");
    pv_put_u32(&w, PV_RULE_ALLOW);
    pv_put_cstr(&w, "a.policy");
    pv_put_u32(&w, 3);
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "because");
    pv_put_bool(&w, true);
    pv_put_bool(&w, true);
    pv_put_i64(&w, 600);
    pv_put_cstr(&w, "");
    pv_put_u32(&w, 1);
    pv_put_u32(&w, PV_D_NOTICE);
    pv_put_cstr(&w, "told");
}

static void begin_answer(uint32_t type)
{
    pv_put_u8(start(), (uint8_t)(type - PV_MF_HELLO));
}

static void answers(void)
{
    static const char id[] = "0123456789abcdef";
    uint8_t bytes[32] = {1, 2, 3};
    begin_answer(PV_MF_HELLO);
    pv_put_u32(&w, PV_PROTOCOL);
    pv_put_raw(&w, bytes, sizeof bytes);
    pv_put_u32(&w, 1000);
    pv_put_u32(&w, 0);
    pv_put_cstr(&w, "0.1.0");
    pv_put_cstr(&w, "workstations");
    pv_put_cstr(&w, "Managed");
    pv_put_u64(&w, 7);
    pv_put_raw(&w, bytes, sizeof bytes);
    wire_seed("answer_hello", FUZZ_ANSWER);
    begin_answer(PV_MF_DECISION);
    pv_put_cstr(&w, id);
    pv_put_bool(&w, true);
    pv_put_bool(&w, true);
    pv_put_cstr(&w, "");
    decision();
    pv_put_u32(&w, 1);
    wire_seed("answer_decision", FUZZ_ANSWER);
    begin_answer(PV_MF_OPERATION);
    pv_put_cstr(&w, "install");
    pv_put_cstr(&w, "hello");
    pv_put_cstr(&w, "amd64");
    pv_put_cstr(&w, "");
    pv_put_cstr(&w, "2.10-3");
    pv_put_cstr(&w, "internal");
    pv_put_bool(&w, false);
    pv_put_bool(&w, false);
    pv_put_u64(&w, 53000);
    decision();
    wire_seed("answer_operation", FUZZ_ANSWER);
    begin_answer(PV_MF_FINISHED);
    pv_put_cstr(&w, id);
    pv_put_u32(&w, 1);
    pv_put_i64(&w, 0);
    pv_put_u32(&w, 0);
    pv_put_bool(&w, false);
    pv_put_cstr(&w, "done");
    wire_seed("answer_finished", FUZZ_ANSWER);
    begin_answer(PV_MF_DIRECT);
    pv_put_cstr(&w, id);
    pv_put_u32(&w, 2);
    pv_put_cstr(&w, "/usr/bin/apt");
    pv_put_cstr(&w, "list");
    wire_seed("answer_direct", FUZZ_ANSWER);
    begin_answer(PV_MF_RULE);
    pv_put_cstr(&w, "tools");
    pv_put_u32(&w, PV_RULE_ALLOW);
    pv_put_cstr(&w, "a.policy");
    pv_put_u32(&w, 3);
    pv_put_u32(&w, PV_UNKNOWN);
    pv_put_cstr(&w, "Tools");
    pv_put_u32(&w, 1);
    pv_put_u32(&w, PV_C_WHEN);
    pv_put_u32(&w, PV_UNKNOWN);
    pv_put_cstr(&w, "when host.on_vpn");
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "because");
    pv_put_u32(&w, 0);
    wire_seed("answer_rule", FUZZ_ANSWER);
    begin_answer(PV_MF_HISTORY);
    pv_put_cstr(&w, id);
    pv_put_i64(&w, 1795255200);
    pv_put_cstr(&w, "install");
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "hello");
    pv_put_u32(&w, PV_ALLOW);
    pv_put_cstr(&w, "done");
    pv_put_i64(&w, 0);
    pv_put_i64(&w, 1795255201);
    pv_put_cstr(&w, "");
    wire_seed("answer_history", FUZZ_ANSWER);
    begin_answer(PV_MF_ERROR);
    pv_put_u32(&w, 1);
    pv_put_cstr(&w, "no");
    wire_seed("answer_error", FUZZ_ANSWER);
}

static void signature(void)
{
    static const char text[] =
        "untrusted comment: signature from minisign secret key\n"
        "RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n"
        "trusted comment: timestamp:1633700835\tfile:test\tprehashed\n"
        "wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";
    start();
    pv_put_raw(&w, text, sizeof text - 1);
    wire_seed("minisign", FUZZ_MINISIGN);
    start();
    static const char key[] = "untrusted comment: key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
    pv_put_raw(&w, key, sizeof key - 1);
    wire_seed("minisign_key", FUZZ_MINISIGN);
}

/* ---- zones ---- */

static void zone_seeds(void)
{
    static const char *const names[] = {"Europe/Paris", "America/New_York", "Australia/Lord_Howe",
                                        "UTC",          "Pacific/Apia",     "America/Los_Angeles",
                                        "Asia/Kolkata", "Africa/Casablanca"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const void *data;
        size_t len;
        char name[16];
        FUZZ_CHECK(fuzz_host.load_zone(NULL, names[i], &data, &len) == 0, "a time zone is missing: install tzdata");
        snprintf(name, sizeof name, "zone_%zu", i);
        write_seed("zone", name, "", 0, data, len);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: seeds ROOT OUT\n");
        return 2;
    }
    root = argv[1];
    out = argv[2];
    static const char *const targets[] = {"source", "bundle", "wire", "zone"};
    if (mkdir(out, 0777) != 0 && errno != EEXIST)
        return 1;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", out, targets[i]);
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return 1;
    }
    static const char *const folders[] = {"policies", "policies/std", "tests/lang/right", "tests/lang/wrong",
                                          "tests/fuzz"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        FUZZ_CHECK(from_folder(folders[i]) > 0, "a folder without policies");
    assembled();
    requests();
    records();
    plans();
    jobs();
    answers();
    signature();
    zone_seeds();
    return 0;
}
