/* How long checking a policy takes beside reading and lexing it, and how much memory: check PROVISO-LIBRARY [--json]
 *
 * Policies of 1,000, 10,000 and 100,000 rules, as an organisation's grow: most name a package, some a set or a pattern,
 * some add groups, sources, hours or conditions. Every figure is of a process of its own, the least of several runs;
 * memory is what the process grew by at its peak. Targets are ratios, so that they hold on any machine. Ends with 1
 * where one is missed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "grammar/lexer.h"

static const char *library;

/* ---- Policies ---- */

static uint64_t random_state = 1;

static unsigned below(unsigned n)
{
    random_state += 0x9E3779B97F4A7C15u;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

static void name(FILE *out)
{
    static const char *const stems[] = {"lib",   "python3-", "golang-",  "fonts-", "gir1.2-",
                                        "node-", "ruby-",    "texlive-", "",       "kde-"};
    static const char *const ends[] = {"",       "-dev",   "-doc", "-common", "-data",
                                       "-utils", "-tools", "2",    "-bin",    "-perl"};
    fprintf(out, "%sp%x%s", stems[below(10)], below(40000), ends[below(10)]);
}

static void rule(FILE *out, unsigned i, unsigned n_sets)
{
    static const char *const commands[] = {"install", "install", "install, upgrade", "upgrade", "uninstall"};
    unsigned command = below(5), kind = below(10);
    bool deny = below(5) == 0;
    fprintf(out, "@id(\"r%u\")\n%s ", i, deny ? "deny" : "allow");
    if (below(3))
        fprintf(out, "group \"g%u\"", below(100));
    else if (below(2))
        fprintf(out, "team%u", below(20));
    else
        fprintf(out, "user \"u%u\"", below(200));
    fprintf(out, " to %s ", commands[command]);
    if (kind < 6 || kind == 9) {
        fputc('"', out);
        name(out);
        fputc('"', out);
    } else if (kind < 8) {
        fprintf(out, "set%u", below(n_sets));
    } else {
        fputs("like \"", out);
        name(out);
        fputs("*\"", out);
    }
    if (command < 4 && below(4) == 0)
        fprintf(out, " from internal or reviewed");
    if (kind == 9)
        fputs(below(2) ? "\n    during nightly"
                       : "\n    when transaction.download_size < 500MB and not package.downgrade",
              out);
    if (deny)
        fputs("\n    because \"Ask the owners first: https://it.example/packages\"", out);
    fputs(";\n\n", out);
}

static void write_policy(const char *path, unsigned n_rules)
{
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        exit(2);
    }
    unsigned n_sets = n_rules / 50 + 1;
    fputs("policy bench \"Bench\" version 1 zone \"Europe/Paris\";\n\nimport \"std/apt.policy\";\n\n"
          "source internal { type apt; location \"deb https://i.example/d b main\"; key \"/k/i\"; priority 1; "
          "self_service; }\n"
          "source debian { type apt; location \"deb https://d.example/d b main\"; key \"/k/d\"; priority 2; }\n"
          "sources reviewed = internal or debian;\nwindow nightly = mon..fri 22:00..04:00;\n\n",
          out);
    for (unsigned i = 0; i < 20; i++)
        fprintf(out, "role team%u = (group \"g%u\" or group \"g%u\") and not user \"u%u\";\n", i, i, i + 20, i);
    for (unsigned i = 0; i < n_sets; i++) {
        fprintf(out, "set set%u = { ", i);
        for (unsigned k = 0; k < 10; k++) {
            fputc('"', out);
            name(out);
            fputs("\", ", out);
        }
        fputs("like \"", out);
        name(out);
        fputs("-*\" };\n", out);
    }
    fputc('\n', out);
    for (unsigned i = 0; i < n_rules; i++)
        rule(out, i, n_sets);
    fclose(out);
}

/* ---- What is measured ---- */

static void read_and_lex(const char *path)
{
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_sources sources;
    struct pv_lexer lexer;
    uint32_t file, at, n = 0;
    if (!arena)
        exit(2);
    pv_sources_init(&sources, arena);
    if (pv_sources_add_file(&sources, path, path, &file, &at) != 0)
        exit(2);
    pv_lexer_init(&lexer, &sources, file, NULL);
    while (pv_lex(&lexer).kind != PV_TOK_END)
        n++;
    if (n < 1000)
        exit(2);
    pv_arena_free(arena);
}

static void compile(const char *path, enum pv_compile_goal goal, bool lint)
{
    struct pv_compile_options options = {.load = {.library = &library, .n_library = 1}, .goal = goal, .lint = lint};
    struct pv_compilation made;
    if (pv_compile_file(path, &options, &made) != 0 || pv_diags_errors(&made.program->diags) != 0) {
        pv_diags_print(&made.program->diags, stderr, false, 5);
        exit(2);
    }
    pv_compile_free(&made);
}

static void parse(const char *path)
{
    struct pv_load_options options = {.library = &library, .n_library = 1};
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_program *program;
    if (!arena || pv_load_program(arena, path, &options, &program) != 0 || pv_diags_errors(&program->diags) != 0)
        exit(2);
    pv_arena_free(arena);
}

static void check(const char *path)
{
    compile(path, PV_COMPILE_CHECK, true); /* lints and all, as the verb does */
}

static void compile_all(const char *path)
{
    compile(path, PV_COMPILE_EVALUATE, false);
}

struct figure {
    double seconds;
    double bytes; /* that the process grew by */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* not what others do on this machine */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double peak(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static struct figure once(void (*work)(const char *), const char *path)
{
    struct figure figure = {0, 0};
    int fds[2];
    if (pipe(fds) != 0)
        exit(2);
    pid_t pid = fork();
    if (pid == 0) {
        double memory = peak(), start = now();
        work(path);
        figure = (struct figure){now() - start, peak() - memory};
        _exit(write(fds[1], &figure, sizeof figure) == (ssize_t)sizeof figure ? 0 : 2);
    }
    int status = 0;
    close(fds[1]);
    bool got = pid > 0 && read(fds[0], &figure, sizeof figure) == (ssize_t)sizeof figure;
    close(fds[0]);
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (!got || status != 0)
        exit(2);
    return figure;
}

static struct figure least(void (*work)(const char *), const char *path, unsigned runs)
{
    struct figure best = once(work, path);
    for (unsigned i = 1; i < runs; i++) {
        struct figure f = once(work, path);
        if (f.seconds < best.seconds)
            best.seconds = f.seconds;
        if (f.bytes < best.bytes)
            best.bytes = f.bytes;
    }
    return best;
}

/* ---- The table ---- */

enum { SIZES = 3 };
static const unsigned sizes[SIZES] = {1000, 10000, 100000};

struct row {
    double bytes; /* of text */
    struct figure lex, parse, check, compile;
};

static bool json, missed;

static void target(const char *what, double figure, double most)
{
    bool met = figure <= most;
    missed = missed || !met;
    if (json)
        printf("{\"target\": \"%s\", \"figure\": %.3f, \"most\": %.3f, \"met\": %s}\n", what, figure, most,
               met ? "true" : "false");
    else
        printf("%-58s %8.2f %8.2f  %s\n", what, figure, most, met ? "met" : "MISSED");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: check LIBRARY [--json]\n");
        return 2;
    }
    library = argv[1];
    if (argc > 3 && strcmp(argv[2], "--only") == 0) { /* once, for a profiler */
        check(argv[3]);
        return 0;
    }
    if (argc > 4 && strcmp(argv[2], "--write") == 0) {
        write_policy(argv[4], (unsigned)strtoul(argv[3], NULL, 10));
        return 0;
    }
    json = argc > 2 && strcmp(argv[2], "--json") == 0;
    char path[] = "/tmp/bench-check-XXXXXX.policy";
    int fd = mkstemps(path, 7);
    if (fd < 0)
        return 2;
    close(fd);
    struct row rows[SIZES];
    for (int i = 0; i < SIZES; i++) {
        unsigned runs = sizes[i] > 50000 ? 5 : 15;
        struct stat status;
        write_policy(path, sizes[i]);
        if (stat(path, &status) != 0)
            return 2;
        rows[i] = (struct row){(double)status.st_size, least(read_and_lex, path, runs), least(parse, path, runs),
                               least(check, path, runs), least(compile_all, path, runs)};
    }
    unlink(path);
    if (!json) {
        printf("%10s %10s | %9s %9s %9s %9s  ms | %7s %7s %7s  x text\n", "rules", "bytes", "read+lex", "parse",
               "check", "compile", "parse", "check", "compile");
        for (int i = 0; i < SIZES; i++)
            printf("%10u %10.0f | %9.2f %9.2f %9.2f %9.2f     | %7.1f %7.1f %7.1f\n", sizes[i], rows[i].bytes,
                   rows[i].lex.seconds * 1e3, rows[i].parse.seconds * 1e3, rows[i].check.seconds * 1e3,
                   rows[i].compile.seconds * 1e3, rows[i].parse.bytes / rows[i].bytes,
                   rows[i].check.bytes / rows[i].bytes, rows[i].compile.bytes / rows[i].bytes);
        printf("\n%-58s %8s %8s\n", "target", "figure", "at most");
    }
    target("check, 10,000 rules: times reading and lexing", rows[1].check.seconds / rows[1].lex.seconds, 4);
    target("check, 10,000 rules: memory, times the text", rows[1].check.bytes / rows[1].bytes, 40);
    target("check, 100,000 rules: memory, times the text", rows[2].check.bytes / rows[2].bytes, 40);
    target("check, 1,000 to 10,000 rules: growth of time", rows[1].check.seconds / rows[0].check.seconds, 13);
    target("check, 10,000 to 100,000 rules: growth of time", rows[2].check.seconds / rows[1].check.seconds, 13);
    target("compile, 10,000 rules: ms", rows[1].compile.seconds * 1e3, 25);
    target("compile, 100,000 rules: ms", rows[2].compile.seconds * 1e3, 500);
    target("compile, 10,000 to 100,000 rules: growth of time", rows[2].compile.seconds / rows[1].compile.seconds, 13);
    return missed;
}
