/*
 * Drives the apt libraries and the planner from shell tests, as the monitor would.
 *
 *   apt_tool config SET ROOT HOOK [-n NAME -l LOCATION [-k KEY] [-u]]...   writes a set directory
 *   apt_tool ask PLANNER SET ROOT KIND VERB FLAGS [-n NAME [-P PRIORITY] [-d]]... [-p NAME [-a ARCH] [-v VERSION]]...
 * [-o FILE] one request; prints the answer, one line a frame; -o writes the canonical plan. PLANNER may be "-": then it
 * is the process at the other end of descriptor 9 apt_tool run STEP SET ROOT RUN PLAN [NAME...]      becomes the
 * command of that step, PLAN is a canonical text or - apt_tool show STEP SET ROOT RUN PLAN [NAME...]     prints its
 * vector and environment instead apt_tool resolve RESOLVER uid UID | name NAME UID  asks the resolver
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/apt/config.h"
#include "agentd/plan.h"
#include "agentd/wire.h"

static int usage(void)
{
    fprintf(stderr, "apt_tool: see the top of tests/agent/apt_tool.c\n");
    return 2;
}

static int start(const char *program)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
        return -1;
    if (fork() == 0) {
        char *const argv[] = {(char *)(uintptr_t)program, NULL};
        char *const envp[] = {"APT_CONFIG=/nonexistent", "LD_BIND_NOW=1", NULL};
        dup2(sv[1], 3);
        if (sv[1] == 3)
            fcntl(3, F_SETFD, 0);
        execve(program, argv, envp);
        _exit(127);
    }
    close(sv[1]);
    return sv[0];
}

/* ---- config ---- */

static int do_config(int argc, char **argv)
{
    struct pv_apt_source sources[64] = {0};
    struct pv_apt_setup setup = {.root = argv[3], .hook = argv[4], .sources = sources, .lock_timeout = 5};
    struct pv_apt_error error;
    for (int i = 5; i < argc; i++) {
        struct pv_apt_source *s = &sources[setup.n_sources ? setup.n_sources - 1 : 0];
        if (strcmp(argv[i], "-u") == 0)
            s->is_unsigned = true;
        else if (i + 1 >= argc)
            return usage();
        else if (strcmp(argv[i], "-n") == 0)
            sources[setup.n_sources++].name = argv[++i];
        else if (strcmp(argv[i], "-l") == 0)
            s->location = argv[++i];
        else if (strcmp(argv[i], "-k") == 0)
            s->key = argv[++i];
        else
            return usage();
    }
    int result = pv_apt_config_write(argv[2], &setup, &error);
    if (result)
        printf("%s\n", error.text);
    return result ? 1 : 0;
}

/* ---- the planner ---- */

static int print_op(const struct pv_plan_op *op)
{
    printf("op %s %s %s %s %s %s%s%s%s%s%s", pv_plan_action_name(op->action), op->name, op->arch,
           *op->old_version ? op->old_version : "-", *op->new_version ? op->new_version : "-",
           *op->source ? op->source : "-", op->essential ? " essential" : "", op->dependency ? " dependency" : "",
           op->held ? " held" : "", op->config_files ? " config-files" : "", op->automatic ? " automatic" : "");
    for (size_t i = 0; i < op->n_wanted_by; i++)
        printf("%s%s", i ? "," : " wanted_by=", op->wanted_by[i]);
    printf("%s%s\n", *op->section ? " section=" : "", op->section);
    return 0;
}

static int print_state(struct pv_rbuf *r)
{
    struct pv_plan_state s;
    char store[PV_PLAN_STATE_STORE];
    if (pv_plan_state_decode(r, &s, store) || !pv_rbuf_done(r))
        return -1;
    printf("state %s %s%s%s%s%s%s%s%s installed=%s candidate=%s source=%s size=%" PRIu64 " summary=%s\n", s.name,
           *s.arch ? s.arch : "-", s.installed ? " installed" : "", s.broken ? " broken" : "",
           s.config_files ? " config-files" : "", s.held ? " held" : "", s.essential ? " essential" : "",
           s.automatic ? " automatic" : "", s.available ? " available" : "", s.installed_version, s.candidate_version,
           s.candidate_source, s.download_size, s.summary);
    return 0;
}

static int to_file(void *context, const void *bytes, size_t len)
{
    return fwrite(bytes, 1, len, context) != len;
}

static int receive(int fd, const char *out_file)
{
    static uint8_t in[PV_WIRE_MAX];
    struct pv_plan plan = {0};
    uint32_t n = 0;
    int answer = 3;
    for (;;) {
        uint32_t type;
        size_t len;
        struct pv_rbuf r;
        int result = pv_frame_recv(fd, in, sizeof in, &type, &len, NULL, 0, NULL);
        if (result) {
            printf("wire: %s\n", pv_wire_strerror(result));
            break;
        }
        pv_rbuf_init(&r, in, len);
        if (type == PV_MSG_PLAN_OP) {
            if (pv_plan_op_decode(&r, &plan) || !pv_rbuf_done(&r))
                break;
            n++;
            print_op(&plan.ops[plan.n_ops - 1]);
        } else if (type == PV_MSG_PLAN_STATE_ITEM) {
            if (print_state(&r))
                break;
            n++;
        } else if (type == PV_MSG_PLAN_ERROR) {
            char subject[256], sentence[600], detail[PV_PLAN_DETAIL_MAX + 1];
            uint32_t code = pv_get_u32(&r);
            pv_get_str_copy(&r, subject, sizeof subject);
            pv_get_str_copy(&r, sentence, sizeof sentence);
            pv_get_str_copy(&r, detail, sizeof detail);
            if (pv_rbuf_done(&r))
                printf("error %u [%s] %s\n%s", code, subject, sentence, detail);
            answer = pv_rbuf_done(&r) ? 1 : 3;
            break;
        } else if (type == PV_MSG_PLAN_DONE) {
            uint32_t said = pv_get_u32(&r);
            answer = pv_rbuf_done(&r) && said == n ? 0 : 3;
            printf("done %u\n", said);
            break;
        } else {
            break;
        }
    }
    if (answer == 3)
        printf("malformed answer\n");
    FILE *out = answer == 0 && out_file ? fopen(out_file, "w") : NULL;
    if (out && (pv_plan_canonical(&plan, to_file, out) || fclose(out)))
        answer = 3;
    pv_plan_clear(&plan);
    return answer;
}

static int do_ask(int argc, char **argv)
{
    static uint8_t data[PV_WIRE_MAX];
    static const char *sources[256], *names[512], *archs[512], *versions[512];
    static long long priorities[256];
    static int dependency[256];
    uint32_t n_sources = 0, n_packages = 0;
    const char *out_file = NULL;
    for (int i = 8; i < argc; i++) {
        if (strcmp(argv[i], "-d") == 0 && n_sources)
            dependency[n_sources - 1] = 1;
        else if (i + 1 >= argc)
            return usage();
        else if (strcmp(argv[i], "-n") == 0 && n_sources < 256)
            sources[n_sources++] = argv[++i];
        else if (strcmp(argv[i], "-P") == 0 && n_sources)
            priorities[n_sources - 1] = strtoll(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-p") == 0 && n_packages < 512)
            names[n_packages] = argv[++i], archs[n_packages] = versions[n_packages] = "", n_packages++;
        else if (strcmp(argv[i], "-a") == 0 && n_packages)
            archs[n_packages - 1] = argv[++i];
        else if (strcmp(argv[i], "-v") == 0 && n_packages)
            versions[n_packages - 1] = argv[++i];
        else if (strcmp(argv[i], "-o") == 0)
            out_file = argv[++i];
        else
            return usage();
    }
    char conf[4096];
    snprintf(conf, sizeof conf, "%s/apt.conf", argv[3]);
    struct pv_wbuf w;
    pv_wbuf_init(&w, data, sizeof data);
    pv_put_u32(&w, (uint32_t)atoi(argv[5]));
    pv_put_u32(&w, (uint32_t)atoi(argv[6]));
    pv_put_cstr(&w, argv[4]);
    pv_put_cstr(&w, conf);
    pv_put_u32(&w, (uint32_t)atoi(argv[7]));
    pv_put_u32(&w, n_sources);
    for (uint32_t i = 0; i < n_sources; i++) {
        pv_put_cstr(&w, sources[i]);
        pv_put_i64(&w, priorities[i]);
        pv_put_bool(&w, dependency[i]);
    }
    pv_put_u32(&w, n_packages);
    for (uint32_t i = 0; i < n_packages; i++) {
        pv_put_cstr(&w, names[i]);
        pv_put_cstr(&w, archs[i]);
        pv_put_cstr(&w, versions[i]);
    }
    int fd = strcmp(argv[2], "-") == 0 ? 9 : start(argv[2]);
    if (fd < 0 || pv_frame_send(fd, PV_MSG_PLAN_REQUEST, &w, NULL, 0))
        return usage();
    int answer = receive(fd, out_file);
    close(fd);
    while (wait(NULL) > 0)
        continue;
    return answer;
}

/* ---- root's commands ---- */

static int read_plan(const char *path, struct pv_plan *plan)
{
    static char text[1 << 20];
    if (strcmp(path, "-") == 0)
        return 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    return pv_plan_parse(plan, text, n);
}

static int do_run(int argc, char **argv, int show)
{
    static const char *const steps[] = {"refresh", "fetch", "apply", "mark-auto", "mark-manual", "repair", "clean"};
    struct pv_plan plan = {0};
    struct pv_apt_command command;
    struct pv_apt_error error;
    struct pv_apt_job job = {.set_dir = argv[3],
                             .root = argv[4],
                             .run_dir = argv[5],
                             .plan = &plan,
                             .names = (const char *const *)(argv + 7),
                             .n_names = (size_t)(argc - 7),
                             .user = getenv("TEST_USER"),
                             .uid = 1001,
                             .status_fd = -1};
    size_t step = 0;
    while (step < 7 && strcmp(steps[step], argv[2]) != 0)
        step++;
    if (read_plan(argv[6], &plan))
        return usage();
    for (size_t i = 0; getenv("TEST_DEPENDENCY") && i < plan.n_ops; i++) /* the canonical text does not say it */
        plan.ops[i].dependency = strcmp(plan.ops[i].name, getenv("TEST_DEPENDENCY")) == 0;
    if (pv_apt_command_build(&command, (enum pv_apt_step)step, &job, &error)) {
        printf("refused: %s\n", error.text);
        return 1;
    }
    pv_plan_clear(&plan);
    for (char **word = command.argv; show && *word; word++)
        printf("%s\n", *word);
    for (char **word = command.envp; show && *word; word++)
        printf("env %s\n", *word);
    if (show) {
        pv_apt_command_free(&command);
        return 0;
    }
    execve(command.argv[0], command.argv, command.envp);
    return 127;
}

/* ---- the resolver ---- */

static int do_resolve(int argc, char **argv)
{
    static uint8_t data[PV_WIRE_MAX];
    struct pv_wbuf w;
    struct pv_rbuf r;
    uint32_t type;
    size_t len;
    bool by_uid = strcmp(argv[3], "uid") == 0;
    if (argc != (by_uid ? 5 : 6))
        return usage();
    pv_wbuf_init(&w, data, sizeof data);
    if (!by_uid)
        pv_put_cstr(&w, argv[4]);
    pv_put_u32(&w, (uint32_t)strtoul(argv[argc - 1], NULL, 10));
    int fd = start(argv[2]);
    if (fd < 0 || pv_frame_send(fd, by_uid ? PV_MSG_RESOLVE_UID : PV_MSG_RESOLVE_NAME, &w, NULL, 0) ||
        pv_frame_recv(fd, data, sizeof data, &type, &len, NULL, 0, NULL))
        return 3;
    pv_rbuf_init(&r, data, len);
    char name[512], text[3][4096];
    if (type == PV_MSG_RESOLVE_USER) {
        uint32_t uid = pv_get_u32(&r), gid = pv_get_u32(&r);
        pv_get_str_copy(&r, name, sizeof name);
        for (int i = 0; i < 3; i++)
            pv_get_str_copy(&r, text[i], sizeof text[i]);
        printf("user %u %u %s home=%s shell=%s", uid, gid, name, text[1], text[2]);
        uint32_t n = pv_get_u32(&r);
        for (uint32_t i = 0; i < n && !r.error; i++) {
            uint32_t group = pv_get_u32(&r);
            pv_get_str_copy(&r, name, sizeof name);
            printf(" %u=%s", group, name);
        }
        printf("\n");
    } else if (type == PV_MSG_RESOLVE_SAME) {
        bool same = pv_get_bool(&r);
        printf("same %d %d\n", same, (int)pv_get_u32(&r));
    } else if (type == PV_MSG_RESOLVE_ERROR) {
        uint32_t code = pv_get_u32(&r);
        pv_get_str_copy(&r, text[0], sizeof text[0]);
        printf("error %u %s\n", code, text[0]);
    }
    close(fd);
    while (wait(NULL) > 0)
        continue;
    return pv_rbuf_done(&r) ? 0 : 3;
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "config") == 0)
        return do_config(argc, argv);
    if (argc >= 8 && strcmp(argv[1], "ask") == 0)
        return do_ask(argc, argv);
    if (argc >= 7 && strcmp(argv[1], "run") == 0)
        return do_run(argc, argv, 0);
    if (argc >= 7 && strcmp(argv[1], "show") == 0)
        return do_run(argc, argv, 1);
    if (argc >= 5 && strcmp(argv[1], "resolve") == 0)
        return do_resolve(argc, argv);
    return usage();
}
