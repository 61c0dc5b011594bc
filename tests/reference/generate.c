/* Random policies and requests (generate.h). */
#include "tests/reference/generate.h"

#include <stdbool.h>
#include <string.h>

struct gen {
    FILE *out;
    uint64_t state;
    bool packages, sources; /* what every command of the rule at hand has */
    bool restart;           /* the rule is about `restart` alone */
};

static unsigned below(struct gen *g, unsigned n)
{
    g->state += 0x9E3779B97F4A7C15u;
    uint64_t z = g->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

#define PICK(g, list) ((list)[below((g), sizeof(list) / sizeof((list)[0]))])

static const char *const users[] = {"alice", "bob", "carol", "dave", "root", "o'neil"};
static const char *const groups[] = {"staff", "dev", "sre", "netops", "sudo", "contractors"};
static const char *const roles[] = {"admin", "netops", "developers", "mixed"};
static const char *const names[] = {"git",       "git-lfs",    "gi",     "vim",      "nano", "clang-14",
                                    "clang-",    "libssl-dev", "libssl", "lib-dev",  "nmap", "wireshark",
                                    "docker.io", "docker/io",  "a",      "zo\\u00e9"};
static const char *const name_literals[] = {"git",        "vim",  "nano",      "clang-14",
                                            "libssl-dev", "nmap", "docker.io", "zo\\u{e9}"};
static const char *const patterns[] = {"git*",     "lib*-dev", "*",   "**",    "?",         "cl?ng-*",
                                       "docker**", "*o*",      "zo?", "*a*n*", "docker*io", "git"};
static const char *const sets[] = {"tools", "sniffers", "everything", "nested"};
static const char *const sources[] = {"internal", "debian", "vendor", "old"};
static const char *const windows[] = {"nightly", "weekend", "patch", "holidays", "lunch", "combined", "elsewhere"};
static const char *const conditions[] = {"small", "guarded", "late"};
static const char *const versions[] = {"1.0", "1.0-0", "1.0-1", "1:0.9", "1.0~rc1", "2.0", "1.0+b1", "0"};
static const char *const clocks[] = {"00:00", "03:59:59", "04:00", "12:00", "18:30", "22:00", "23:59:59"};
static const char *const dates[] = {"2026-03-29", "2026-10-25", "2026-11-21", "2026-12-31", "2027-01-01", "2024-02-29"};
static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
static const char *const equalities[] = {"==", "!="};
static const char *const rooms[] = {"lab-1", "lab-2", "studio", ""};

static void subject(struct gen *g, unsigned depth)
{
    switch (below(g, depth ? 8 : 5)) {
    case 0: fputs("everyone", g->out); break;
    case 1: fprintf(g->out, "user \"%s\"", PICK(g, users)); break;
    case 2:
    case 3: fprintf(g->out, "group \"%s\"", PICK(g, groups)); break;
    case 4: fputs(PICK(g, roles), g->out); break;
    case 5:
        fputs("not ", g->out);
        subject(g, 0);
        break;
    default:
        fputc('(', g->out);
        subject(g, depth - 1);
        fputs(below(g, 2) ? " or " : " and ", g->out);
        subject(g, depth - 1);
        fputc(')', g->out);
    }
}

static void inline_set(struct gen *g)
{
    unsigned n = 1 + below(g, 3);
    fputs("{ ", g->out);
    for (unsigned i = 0; i < n; i++) {
        switch (below(g, 3)) {
        case 0: fprintf(g->out, "like \"%s\"", PICK(g, patterns)); break;
        case 1: fputs(PICK(g, sets), g->out); break;
        default: fprintf(g->out, "\"%s\"", PICK(g, name_literals)); break;
        }
        fputs(i + 1 < n ? ", " : " }", g->out);
    }
}

static void any_set(struct gen *g)
{
    if (below(g, 2))
        fputs(PICK(g, sets), g->out);
    else
        inline_set(g);
}

static void expression(struct gen *g, unsigned depth);

static void atom_package(struct gen *g)
{
    switch (below(g, 11)) {
    case 0: fprintf(g->out, "package.name %s \"%s\"", PICK(g, equalities), PICK(g, name_literals)); break;
    case 1: fprintf(g->out, "package.name like \"%s\"", PICK(g, patterns)); break;
    case 2:
        fputs("package.name in ", g->out);
        any_set(g);
        break;
    case 3: fprintf(g->out, "package.version %s \"%s\"", PICK(g, comparisons), PICK(g, versions)); break;
    case 4:
        fprintf(g->out, "(has package.installed_version and package.installed_version %s package.version)",
                PICK(g, comparisons));
        break;
    case 5: fprintf(g->out, "(has package.owner and package.owner %s user.name)", PICK(g, equalities)); break;
    case 6: fprintf(g->out, "(not has package.section or package.section like \"%s\")", PICK(g, patterns)); break;
    case 7: fputs("package.downgrade", g->out); break;
    case 8: fprintf(g->out, "package.download_size %s %uKB", PICK(g, comparisons), below(g, 3)); break;
    case 9:
        fputs("package.wanted_by overlaps ", g->out);
        any_set(g);
        break;
    default: fputs("(package.dependency or package.installed)", g->out); break;
    }
}

static void atom(struct gen *g)
{
    if (g->packages && below(g, 2)) {
        atom_package(g);
        return;
    }
    if (g->sources && below(g, 4) == 0) {
        switch (below(g, 3)) {
        case 0: fprintf(g->out, "source.name == \"%s\"", PICK(g, sources)); break;
        case 1: fprintf(g->out, "source.priority %s %u", PICK(g, comparisons), below(g, 4)); break;
        default: fputs("source.self_service", g->out); break;
        }
        return;
    }
    if (g->restart && below(g, 2)) {
        switch (below(g, 3)) {
        case 0: fprintf(g->out, "argument.unit %s \"nginx.service\"", PICK(g, equalities)); break;
        case 1: fputs("option.no-block", g->out); break;
        default: fprintf(g->out, "(has option.lines and option.lines %s %u)", PICK(g, comparisons), below(g, 4)); break;
        }
        return;
    }
    switch (below(g, 21)) {
    case 0: fprintf(g->out, "user.name %s \"%s\"", PICK(g, equalities), PICK(g, users)); break;
    case 1: fprintf(g->out, "user.uid %s %u", PICK(g, comparisons), 1000 + below(g, 3)); break;
    case 2: fprintf(g->out, "\"%s\" in user.groups", PICK(g, groups)); break;
    case 3: fprintf(g->out, "user.groups overlaps { \"%s\", like \"s*\" }", PICK(g, groups)); break;
    case 4: fprintf(g->out, "user in %s", PICK(g, roles)); break;
    case 5: fprintf(g->out, "user.changes_today %s %u", PICK(g, comparisons), below(g, 4)); break;
    case 6:
        fprintf(g->out, "transaction.%s %s %u", below(g, 2) ? "installs" : "removes", PICK(g, comparisons),
                below(g, 3));
        break;
    case 7: fprintf(g->out, "transaction.download_size %s %uKB", PICK(g, comparisons), below(g, 3)); break;
    case 8: fprintf(g->out, "time.clock %s %s", PICK(g, comparisons), PICK(g, clocks)); break;
    case 9: fprintf(g->out, "time.date %s %s", PICK(g, comparisons), PICK(g, dates)); break;
    case 10: fprintf(g->out, "time.weekday %s %s", PICK(g, equalities), PICK(g, weekdays)); break;
    case 11: fprintf(g->out, "time in %s", PICK(g, windows)); break;
    case 12: fprintf(g->out, "(has host.room and host.room %s \"%s\")", PICK(g, equalities), PICK(g, rooms)); break;
    case 13: fputs("(not has host.room or host.room like \"lab-*\")", g->out); break;
    case 14: fputs("host.on_vpn", g->out); break;
    case 15: fprintf(g->out, "host.level %s %d", PICK(g, comparisons), (int)below(g, 4) - 2); break;
    case 16:
        fprintf(g->out, "(has host.build and host.build %s \"%s\")", PICK(g, comparisons), PICK(g, versions));
        break;
    case 17: fprintf(g->out, "(has request.reason and request.reason like \"%s\")", PICK(g, patterns)); break;
    case 18: fprintf(g->out, "request.timeout %s %um", PICK(g, comparisons), below(g, 3) * 30); break;
    case 19: fprintf(g->out, "command %s \"%s\"", PICK(g, equalities), below(g, 2) ? "install" : "upgrade"); break;
    default: fputs(PICK(g, conditions), g->out); break;
    }
}

static void expression(struct gen *g, unsigned depth)
{
    switch (below(g, depth ? 6 : 3)) {
    case 3:
        fputs("not (", g->out);
        expression(g, depth - 1);
        fputc(')', g->out);
        break;
    case 4:
    case 5: {
        const char *word = below(g, 2) ? " or " : " and ";
        unsigned n = 2 + below(g, 2);
        fputc('(', g->out);
        for (unsigned i = 0; i < n; i++) {
            if (i)
                fputs(word, g->out);
            expression(g, depth - 1);
        }
        fputc(')', g->out);
        break;
    }
    default: atom(g); break;
    }
}

static void from(struct gen *g)
{
    static const char *const forms[] = {"any",
                                        "self_service",
                                        "internal",
                                        "debian",
                                        "vendor",
                                        "old",
                                        "reviewed",
                                        "not internal",
                                        "(internal or old) and not self_service",
                                        "any and not reviewed",
                                        "not (vendor or debian)"};
    fprintf(g->out, " from %s", PICK(g, forms));
}

static void object(struct gen *g, bool own)
{
    switch (below(g, own ? 5 : 4)) {
    case 0: fprintf(g->out, " \"%s\"", PICK(g, name_literals)); break;
    case 1: fprintf(g->out, " like \"%s\"", PICK(g, patterns)); break;
    case 2: fprintf(g->out, " %s", PICK(g, sets)); break;
    case 3:
        fputc(' ', g->out);
        inline_set(g);
        break;
    default: fputs(" own", g->out); break;
    }
}

static void scope(struct gen *g, bool allow)
{
    static const struct {
        const char *commands;
        bool packages, sources, restart;
    } lists[] = {
        {"install", true, true, false},
        {"install, upgrade", true, true, false},
        {"upgrade", true, true, false},
        {"uninstall", true, false, false},
        {"install, uninstall", true, false, false},
        {"any", false, false, false},
        {"list, search", false, false, false},
        {"restart", false, false, true},
        {"info, pin", true, false, false},
    };
    subject(g, 2);
    unsigned k = below(g, 9);
    g->packages = lists[k].packages;
    g->sources = lists[k].sources;
    g->restart = lists[k].restart;
    fprintf(g->out, " to %s", lists[k].commands);
    bool has_object = (g->packages || k == 5) && below(g, 3);
    bool dependencies = allow && k < 3 && has_object && below(g, 4) == 0;
    if (has_object)
        object(g, !dependencies);
    if ((g->packages || k == 5) && below(g, 5) == 0) {
        fputs(" except", g->out);
        object(g, !dependencies);
    }
    if (dependencies)
        fputs(" with dependencies", g->out);
    if ((g->sources || k == 5) && below(g, 2))
        from(g);
    unsigned n = below(g, 3);
    for (unsigned i = 0; i < n; i++) {
        switch (below(g, 6)) {
        case 0:
            fprintf(g->out, "\n    during %s", PICK(g, windows));
            if (below(g, 3) == 0)
                fprintf(g->out, " or %s", PICK(g, windows));
            break;
        case 1: fprintf(g->out, "\n    until %s", PICK(g, dates)); break;
        case 2:
        case 3:
            fputs("\n    unless ", g->out);
            expression(g, 2);
            break;
        default:
            fputs("\n    when ", g->out);
            expression(g, 2);
            break;
        }
    }
}

static void rule(struct gen *g, unsigned number)
{
    static const char *const accounts[] = {"worker", "worker", "worker", "builder"};
    if (below(g, 3))
        fprintf(g->out, "@id(\"r%u\")%s\n", number, below(g, 4) ? "" : " @owner(\"jane@it.example\")");
    unsigned kind = below(g, 20);
    if (kind < 9) {
        fputs("allow ", g->out);
        scope(g, true);
    } else if (kind < 13) {
        fputs("deny ", g->out);
        scope(g, false);
    } else if (kind < 19) {
        switch (below(g, 7)) {
        case 0: fputs("require reason for ", g->out); break;
        case 1:
            fputs("require approval by ", g->out);
            subject(g, 2);
            fputs(" for ", g->out);
            break;
        case 2: fprintf(g->out, "require timeout %um for ", 1 + below(g, 30)); break;
        case 3: fprintf(g->out, "require account \"%s\" for ", PICK(g, accounts)); break;
        case 4: fprintf(g->out, "require window %s or %s for ", PICK(g, windows), PICK(g, windows)); break;
        case 5: fprintf(g->out, "require notice \"notice %u\" for ", below(g, 3)); break;
        default:
            fputs("require alert ", g->out);
            subject(g, 1);
            fputs(" for ", g->out);
            break;
        }
        scope(g, false);
    } else {
        static const char *const tos[] = {" to install", " to list, search", " to uninstall, restart"};
        fputs("direct ", g->out);
        subject(g, 1);
        fprintf(g->out, " and group \"sudo\"%s;\n\n", PICK(g, tos));
        return;
    }
    if (below(g, 3) == 0)
        fprintf(g->out, "\n    because \"text %u\"", below(g, 50));
    fputs(";\n\n", g->out);
}

static const char *const other_zones[] = {"Europe/Paris",      "America/New_York", "Australia/Lord_Howe",
                                          "Asia/Kolkata",      "Pacific/Apia",     "America/St_Johns",
                                          "Africa/Casablanca", "Pacific/Chatham",  "UTC"};

static void weekdays_of(struct gen *g)
{
    static const char *const nth[] = {"1st", "2nd", "3rd", "4th", "5th", "last"};
    unsigned n = 1 + below(g, 2);
    for (unsigned i = 0; i < n; i++) {
        const char *first = PICK(g, weekdays);
        switch (below(g, 4)) {
        case 0: fprintf(g->out, "%s %s", PICK(g, nth), first); break;
        case 1: fputs(first, g->out); break;
        default: fprintf(g->out, "%s..%s", first, PICK(g, weekdays)); break;
        }
        fputs(i + 1 < n ? ", " : "", g->out);
    }
}

/* Round the changes of the clocks in 2026, leap days, ends of years and nothing in particular. With days, long ones:
 * what never opens is refused. */
static void dates_of(struct gen *g, bool with_days)
{
    static const char *const forms[] = {"2024-02-29..2026-12-31",
                                        "--04-05..--10-04",
                                        "--03-01..--03-31",
                                        "--12-24..--01-02",
                                        "2026-03-29",
                                        "2026-03-08..2026-03-29",
                                        "2026-10-24..2026-10-25",
                                        "2026-11-01",
                                        "2026-12-24..2027-01-02",
                                        "--02-29",
                                        "--10-25"};
    unsigned n = 1 + below(g, 2);
    for (unsigned i = 0; i < n; i++)
        fprintf(g->out, "%s%s", forms[below(g, with_days ? 3 : sizeof forms / sizeof *forms)], i + 1 < n ? ", " : "");
}

static void clocks_of(struct gen *g)
{
    static const char *const forms[] = {"22:00..04:00", "02:30..03:15",       "01:59:59..02:00:01", "00:00..00:30",
                                        "23:30..00:30", "18:00..24:00",       "02:00..03:00",       "01:15..01:45",
                                        "03:00..02:00", "12:00:30..12:00:31", "00:00..24:00",       "23:59:59..00:00"};
    unsigned n = 1 + below(g, 2);
    for (unsigned i = 0; i < n; i++)
        fprintf(g->out, "%s%s", PICK(g, forms), i + 1 < n ? ", " : "");
}

/* The right side of a declaration; earlier[0 .. n_earlier) may be named. */
static void window(struct gen *g, const char *const earlier[], unsigned n_earlier)
{
    unsigned n = 1 + below(g, 3);
    for (unsigned i = 0; i < n; i++) {
        if (n_earlier && below(g, 4) == 0) {
            fputs(earlier[below(g, n_earlier)], g->out);
        } else {
            unsigned parts = 1 + below(g, 7);
            if (parts & 1)
                weekdays_of(g);
            if (parts & 2) {
                fputs(parts & 1 ? " " : "", g->out);
                dates_of(g, parts & 1);
            }
            if (parts & 4) {
                fputs(parts & 3 ? " " : "", g->out);
                clocks_of(g);
            }
        }
        fputs(i + 1 < n ? " or " : "", g->out);
    }
    if (n_earlier && below(g, 3) == 0)
        fprintf(g->out, " except %s", earlier[below(g, n_earlier)]);
    if (below(g, 3) == 0)
        fprintf(g->out, " zone \"%s\"", PICK(g, other_zones));
    fputs(";\n", g->out);
}

void generate_windows(FILE *out, uint64_t seed, const char *zone, unsigned n)
{
    static const char *const names_of[] = {"w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9"};
    struct gen g = {.out = out, .state = seed ^ 0x2545F4914F6CDD1Du};
    fprintf(out, "policy windows version 1 zone \"%s\";\ncommand c { run \"/bin/true\"; }\n", zone);
    for (unsigned i = 0; i < n && i < sizeof names_of / sizeof *names_of; i++) {
        fprintf(out, "window %s = ", names_of[i]);
        window(&g, names_of, i);
        fprintf(out, "@id(\"%s\") deny everyone to c during %s because \"closed\";\n", names_of[i], names_of[i]);
    }
}

void generate_policy(FILE *out, uint64_t seed, unsigned max_rules)
{
    struct gen g = {.out = out, .state = seed};
    static const char *const zones[] = {" zone \"Europe/Paris\"", " zone \"UTC\"", " zone \"America/New_York\"",
                                        " zone \"Australia/Lord_Howe\""};
    fprintf(out, "policy random \"Random\" version %u%s;\n\nimport \"std/apt.policy\";\n\n", below(&g, 100),
            PICK(&g, zones));
    fputs("attribute host.room: string optional;\nattribute host.on_vpn: bool;\nattribute host.level: int;\n"
          "attribute host.build: version(dpkg) optional;\n\n",
          out);
    if (below(&g, 4) == 0)
        fputs("role admin = user \"root\" or group \"sre\";\n", out);
    fputs("role netops = group \"netops\";\nrole developers = (group \"dev\" or group \"sre\") and not group "
          "\"contractors\";\n"
          "role mixed = netops or developers and not user \"bob\";\n\n",
          out);
    fputs("source internal { type apt; location \"deb https://i.example/d b main\"; key \"/k/i\"; priority 1; "
          "self_service; }\n"
          "source debian { type apt; location \"deb https://d.example/d b main\"; key \"/k/d\"; priority 2; }\n"
          "source vendor { type apt; location \"deb https://v.example/d b main\"; key \"/k/v\"; admin_only; }\n"
          "source old { type apt; location \"deb https://o.example/d b main\"; key \"/k/o\"; priority 3; self_service; "
          "disabled; }\n"
          "sources reviewed = internal or debian;\n\n",
          out);
    fputs("set tools = { \"git\", like \"clang-*\", \"vim\" };\nset sniffers = { \"nmap\", like \"wire*\" };\nset "
          "everything = { like \"**\" };\n"
          "set nested = { tools, sniffers, \"nano\" };\n\n",
          out);
    if (below(&g, 2)) {
        fprintf(out,
                "window nightly = mon..fri 22:00..04:00;\nwindow weekend = sat..sun;\nwindow patch = 2nd tue, last fri "
                "09:00..17:00, 20:00..23:00;\n"
                "window holidays = --12-24..--01-02 or 2026-11-21;\nwindow lunch = 12:00..13:30 zone \"%s\";\n"
                "window combined = nightly or sat..sun 02:30..03:15 except holidays;\nwindow elsewhere = fri..mon "
                "18:00..24:00, 00:00..01:00 zone \"%s\";\n\n",
                below(&g, 2) ? "Asia/Kolkata" : "America/New_York", below(&g, 2) ? "Europe/London" : "Pacific/Apia");
    } else {
        for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++) {
            fprintf(out, "window %s = ", windows[i]);
            window(&g, windows, i);
        }
        fputc('\n', out);
    }
    fputs("condition small = transaction.download_size < 2KB and transaction.removes == 0;\n"
          "condition guarded = has host.room and host.room in { \"lab-1\", like \"st*\" };\n"
          "condition late = time.clock >= 18:00 or time in weekend;\n\n",
          out);
    fputs("command restart {\n    argument unit: string in { \"nginx.service\", like \"app-*.service\" };\n    option "
          "--no-block;\n    option --lines: int;\n"
          "    run \"/usr/bin/systemctl\" \"restart\" option.no-block option.lines \"--\" argument.unit;\n}\n\n",
          out);
    unsigned n = 1 + below(&g, max_rules);
    for (unsigned i = 0; i < n; i++)
        rule(&g, i);
}

/* The keys of one operation; returns its command. */
static const char *operation(struct gen *g, unsigned kind)
{
    static const char *const package_source[] = {"install", "upgrade", "install", "install", "upgrade", "download"};
    static const char *const package_only[] = {"uninstall", "info", "pin", "uninstall"};
    static const char *const neither[] = {"list", "search", "sync", "config"};
    bool package = kind < 6, source = kind < 4;
    const char *command = source      ? PICK(g, package_source)
                          : package   ? PICK(g, package_only)
                          : kind == 6 ? PICK(g, neither)
                                      : "restart";
    fprintf(g->out, "\"command\":\"%s\"", command);
    if (package) {
        fprintf(g->out, ",\"package\":{\"name\":\"%s\",\"version\":\"%s\"", PICK(g, names), PICK(g, versions));
        if (below(g, 2))
            fprintf(g->out, ",\"installed_version\":\"%s\",\"installed\":true", PICK(g, versions));
        if (below(g, 2))
            fprintf(g->out, ",\"owner\":\"%s\"", PICK(g, users));
        if (below(g, 3) == 0)
            fprintf(g->out, ",\"owner_uid\":%d", below(g, 5) ? 999 + (int)below(g, 4) : -1);
        if (below(g, 3) == 0)
            fprintf(g->out, ",\"section\":\"%s\"", PICK(g, rooms));
        if (below(g, 4) == 0)
            fputs(",\"protected\":true", g->out);
        if (below(g, 4) == 0)
            fputs(",\"downgrade\":true", g->out);
        if (below(g, 3) == 0)
            fprintf(g->out, ",\"dependency\":true,\"wanted_by\":[\"%s\",\"%s\"]", PICK(g, names), PICK(g, names));
        if (below(g, 2))
            fprintf(g->out, ",\"download_size\":%u", below(g, 4) * 1000);
        fputc('}', g->out);
    }
    if (source)
        fprintf(g->out, ",\"source\":\"%s\"", PICK(g, sources));
    return command;
}

void generate_requests(FILE *out, uint64_t seed, unsigned n)
{
    /* Around the edges of the windows, in UTC: changes to and from summer time, the turn of the year, nights and noons.
     */
    static const char *const times[] = {
        "2026-11-21T10:00:00Z",      "2026-11-20T21:00:00Z",      "2026-11-20T20:59:59Z",       "2026-11-23T02:59:59Z",
        "2026-11-23T03:00:00Z",      "2026-03-29T00:59:59Z",      "2026-03-29T01:00:00Z",       "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",      "2026-12-31T22:59:59Z",      "2026-12-31T23:00:00Z",       "2027-01-02T12:00:00Z",
        "2026-12-08T10:00:00+01:00", "2026-11-27T16:59:59-05:00", "2026-10-31T05:30:00Z",       "2026-11-01T05:30:00Z",
        "2026-11-01T06:30:00Z",      "2024-02-29T06:30:00Z",      "2026-04-04T15:15:00Z",       "2026-07-15T07:00:00Z",
        "2026-11-21 10:00:00.999z",  "2026-11-21T22:00:00",       "2026-03-29t02:59:59.5-02:00"};
    struct gen g = {.out = out, .state = seed ^ 0xD1B54A32D192ED03u};
    static const char *const asked[] = {"install", "upgrade", "uninstall", "list"};
    for (unsigned i = 0; i < n; i++) {
        fprintf(out, "{\"user\":{\"name\":\"%s\"", PICK(&g, users));
        if (below(&g, 2))
            fprintf(out, ",\"uid\":%u", 999 + below(&g, 4));
        if (below(&g, 4)) {
            unsigned first = below(&g, 6), second = below(&g, 6);
            fprintf(out, ",\"groups\":[\"%s\"", groups[first]);
            if (second != first)
                fprintf(out, ",\"%s\"", groups[second]);
            fputc(']', out);
        }
        if (below(&g, 3) == 0)
            fprintf(out, ",\"changes_today\":%u", below(&g, 4));
        fputc('}', out);
        const char *command = NULL;
        if (below(&g, 8) == 0) {
            unsigned n_operations = 1 + below(&g, 4);
            fprintf(out, ",\"command\":\"%s\",\"operations\":[", PICK(&g, asked));
            for (unsigned k = 0; k < n_operations; k++) {
                fputs(k ? ",{" : "{", out);
                operation(&g, below(&g, 8) ? below(&g, 6) : 6);
                fputc('}', out);
            }
            fputc(']', out);
        } else {
            fputc(',', out);
            command = operation(&g, below(&g, 8));
        }
        fprintf(out, ",\"time\":\"%s\"", PICK(&g, times));
        if (below(&g, 2)) {
            fputs(",\"request\":{\"cwd\":\"/\"", out);
            if (below(&g, 2))
                fprintf(out, ",\"reason\":\"%s\"", PICK(&g, names));
            if (below(&g, 2))
                fprintf(out, ",\"timeout\":%u", below(&g, 3) * 1800);
            fputc('}', out);
        }
        if (below(&g, 2))
            fprintf(out, ",\"transaction\":{\"installs\":%u,\"removes\":%u,\"download_size\":%u}", below(&g, 3),
                    below(&g, 3), 1999 + below(&g, 2));
        fprintf(out, ",\"host\":{\"on_vpn\":%s,\"level\":%d", below(&g, 2) ? "true" : "false", (int)below(&g, 5) - 2);
        if (below(&g, 2))
            fprintf(out, ",\"room\":\"%s\"", PICK(&g, rooms));
        if (below(&g, 2))
            fprintf(out, ",\"build\":\"%s\"", PICK(&g, versions));
        fputc('}', out);
        if (command && strcmp(command, "restart") == 0) {
            fprintf(out, ",\"argument\":{\"unit\":\"%s\"}", below(&g, 2) ? "nginx.service" : "app-x.service");
            if (below(&g, 2))
                fprintf(out, ",\"option\":{\"lines\":%u%s}", below(&g, 4), below(&g, 2) ? ",\"no-block\":true" : "");
        }
        fputs("}\n", out);
    }
}
