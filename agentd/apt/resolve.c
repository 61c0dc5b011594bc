/*
 * From a request to a plan.
 *
 * apt's own solver decides what a transaction is; this file decides what it may choose from and checks what it chose.
 *
 *  1. Names, versions and the machine's state are checked against the index files and dpkg's status file themselves, so
 *     that nothing reaches apt which it could read as a pattern, a file or another package.
 *  2. For each package asked for, the version is chosen here: newer than the installed one, out of the sources that may
 *     satisfy it, in the order of their priorities. apt gets name, architecture and exact version.
 *  3. `apt-get -s` resolves. Its output names packages and versions; where they come from is looked up by (name,
 *     architecture, version) in the index files, each of which belongs to one source of the policy. What a repository
 *     says of itself is used for nothing.
 *  4. The order of the sources reaches apt as pins on exact versions, of those packages for which the order decides
 *     anything; what cannot be resolved so is resolved without. A pin on what a repository says of itself would let it
 *     choose its own place.
 *
 * A mistake in here is found twice more: every operation is decided by the policy as what it is, and the hook lets
 * nothing but the plan happen.
 */
#include "agentd/apt/resolve.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/internal.h"
#include "agentd/apt/simulate.h"
#include "agentd/apt/spawn.h"
#include "agentd/apt/text.h"
#include "agentd/wire.h"
#include "runtime/proviso.h"

enum {
    SIMULATION_SECONDS = 120,
    QUICK_SECONDS = 20,
    NATIVE_MAX = PV_APT_ARCH_MAX,
};

struct resolver {
    const struct pv_plan_request *request;
    struct pv_plan_failure *failure;
    struct pv_catalog catalog;
    struct pv_catalog automatic; /* apt's extended_states: stanzas by name */
    char native[NATIVE_MAX + 1];
    /* Per package of the request: what is asked of apt. */
    struct {
        struct pv_slice name, arch, version;
        bool skip; /* nothing to do for it */
    } chosen[PV_PLAN_REQUEST_MAX];
    int pins; /* a memory file of apt preferences, or -1 */
};

__attribute__((format(printf, 4, 5))) static int fail(struct pv_plan_failure *f, enum pv_planner_error code,
                                                      const char *subject, const char *format, ...)
{
    va_list args;
    f->code = code;
    f->detail[0] = '\0';
    snprintf(f->subject, sizeof f->subject, "%s", subject);
    va_start(args, format);
    vsnprintf(f->sentence, sizeof f->sentence, format, args);
    va_end(args);
    return -1;
}

/* Escapes and keeps lines of what the package manager said. */
static void set_detail(struct pv_plan_failure *f, const char *text, size_t len)
{
    struct pv_text out = {0};
    pv_text_add(&out, "", 0);
    for (size_t at = 0; at < len && out.len < PV_PLAN_DETAIL_MAX;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = (end ? (size_t)(end - text) : len) - at;
        pv_text_escaped(&out, text + at, n, 1000);
        if (end)
            pv_text_add(&out, "\n", 1);
        at += n + (end ? 1 : 0);
    }
    snprintf(f->detail, sizeof f->detail, "%s", out.failed ? "" : out.data);
    free(out.data);
}

static struct pv_slice slice(const char *text)
{
    return (struct pv_slice){text, strlen(text)};
}

/* ---- the request ---- */

static void get_field(struct pv_rbuf *r, char *dst, size_t size)
{
    pv_get_str_copy(r, dst, size);
}

static int check_package(const struct pv_wanted *p, struct pv_plan_failure *f)
{
    if (!pv_apt_name_valid(p->name, strlen(p->name)))
        return fail(f, PV_PLANNER_BAD_NAME, "", "That is not the name of a package.");
    if (*p->arch && !pv_apt_arch_valid(p->arch, strlen(p->arch)))
        return fail(f, PV_PLANNER_BAD_NAME, p->name, "The architecture given for %s is not one.", p->name);
    if (*p->version && !pv_apt_version_valid(p->version, strlen(p->version)))
        return fail(f, PV_PLANNER_BAD_NAME, p->name, "The version given for %s is not an exact version.", p->name);
    return 0;
}

int pv_plan_request_decode(struct pv_plan_request *q, const void *payload, size_t len, struct pv_plan_failure *f)
{
    struct pv_rbuf r;
    memset(q, 0, sizeof *q);
    memset(f, 0, sizeof *f);
    pv_rbuf_init(&r, payload, len);
    q->kind = (enum pv_planner_kind)pv_get_u32_max(&r, PV_PLANNER_NAMES);
    q->verb = (enum pv_planner_verb)pv_get_u32_max(&r, PV_VERB_REINSTALL);
    get_field(&r, q->root, sizeof q->root);
    get_field(&r, q->apt_conf, sizeof q->apt_conf);
    q->flags = pv_get_u32_max(&r, PV_PLANNER_F_ALL);
    q->n_sources = pv_get_u32_max(&r, PV_PLAN_SOURCES_MAX);
    for (size_t i = 0; i < q->n_sources; i++) {
        get_field(&r, q->sources[i].name, sizeof q->sources[i].name);
        q->sources[i].priority = pv_get_i64(&r);
        q->sources[i].dependency_only = pv_get_bool(&r);
    }
    /* Names are read longer than they may be, so that a long one is told as a bad name and not as a bad frame. */
    q->n_packages = pv_get_u32_max(&r, PV_PLAN_REQUEST_MAX);
    bool bad = false;
    for (size_t i = 0; i < q->n_packages; i++) {
        size_t n[3];
        const char *text[3];
        for (int j = 0; j < 3; j++)
            text[j] = pv_get_str(&r, PV_WIRE_MAX, &n[j]);
        struct pv_wanted *p = &q->packages[i];
        if (r.error || n[0] >= sizeof p->name || n[1] >= sizeof p->arch || n[2] >= sizeof p->version) {
            bad = true;
            continue;
        }
        memcpy(p->name, text[0], n[0]);
        memcpy(p->arch, text[1], n[1]);
        memcpy(p->version, text[2], n[2]);
    }
    bool plan = q->kind == PV_PLANNER_PLAN;
    if (!pv_rbuf_done(&r) || plan == (q->verb == PV_VERB_NONE) || !pv_apt_path_plain(q->root) ||
        !pv_apt_path_plain(q->apt_conf))
        return fail(f, PV_PLANNER_INTERNAL, "", "The planner got a malformed request.");
    for (size_t i = 0; i < q->n_sources; i++)
        if (!pv_apt_source_valid(q->sources[i].name, strlen(q->sources[i].name)))
            return fail(f, PV_PLANNER_INTERNAL, "", "The planner got a malformed request.");
    if (bad)
        return fail(f, PV_PLANNER_BAD_NAME, "", "That is not the name of a package, or not a version.");
    for (size_t i = 0; i < q->n_packages; i++) {
        if (check_package(&q->packages[i], f))
            return -1;
        for (size_t j = 0; j < i; j++)
            if (strcmp(q->packages[i].name, q->packages[j].name) == 0 &&
                strcmp(q->packages[i].arch, q->packages[j].arch) == 0)
                return fail(f, PV_PLANNER_BAD_NAME, q->packages[i].name, "%s is named twice.", q->packages[i].name);
    }
    return 0;
}

/* ---- files and programs ---- */

static int run(struct resolver *v, const char *const *argv, int seconds, struct pv_spawned *result)
{
    char config[PV_PLAN_PATH_MAX + 16];
    snprintf(config, sizeof config, "APT_CONFIG=%s", v->request->apt_conf);
    const char *const envp[] = {
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent", "TERM=dumb", config, NULL};
    if (pv_spawn_capture(result, argv, envp, v->pins, seconds) != 0)
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "%s cannot be run: %s.", argv[0], strerror(errno));
    if (result->expired || result->too_long) {
        int answer = fail(v->failure, result->expired ? PV_PLANNER_TIMEOUT : PV_PLANNER_UNEXPECTED, "",
                          result->expired ? "%s took longer than it may." : "%s wrote more than it may.", argv[0]);
        pv_spawned_free(result);
        return answer;
    }
    return 0;
}

static int read_native(struct resolver *v)
{
    static const char *const argv[] = {"/usr/bin/dpkg", "--print-architecture", NULL};
    struct pv_spawned out;
    if (run(v, argv, QUICK_SECONDS, &out))
        return -1;
    size_t n = strcspn(out.out, "\n");
    bool good = out.status == 0 && n + 1 == out.out_len && pv_apt_arch_valid(out.out, n);
    if (good)
        snprintf(v->native, sizeof v->native, "%.*s", (int)n, out.out);
    else
        fail(v->failure, PV_PLANNER_UNEXPECTED, "", "dpkg does not say this machine's architecture.");
    pv_spawned_free(&out);
    return good ? 0 : -1;
}

/* The path of a file below the root; never longer than the buffer, since the root is bounded. */
static const char *below(const struct resolver *v, const char *path, char buffer[PV_PLAN_PATH_MAX + 64])
{
    snprintf(buffer, PV_PLAN_PATH_MAX + 64, "%s%s", strcmp(v->request->root, "/") == 0 ? "" : v->request->root, path);
    return buffer;
}

static int add_file(struct resolver *v, struct pv_catalog *catalog, const char *path, int source)
{
    int result = pv_catalog_add(catalog, path, source);
    if (result == -1)
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "%s cannot be read: %s.", path, strerror(errno));
    if (result)
        return fail(v->failure, PV_PLANNER_UNEXPECTED, "", "%s is not a list of packages, or is too large.", path);
    return 0;
}

/* dpkg leaves numbered files in updates/ when it is interrupted, and packages in a state between. */
static int check_journal(struct resolver *v)
{
    char path[PV_PLAN_PATH_MAX + 64];
    DIR *d = opendir(below(v, "/var/lib/dpkg/updates", path));
    bool dirty = false;
    if (!d && errno != ENOENT)
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "%s cannot be read: %s.", path, strerror(errno));
    for (struct dirent *entry; d && (entry = readdir(d));) {
        size_t n = strspn(entry->d_name, "0123456789");
        dirty |= n > 0 && entry->d_name[n] == '\0';
    }
    if (d)
        closedir(d);
    if (dirty)
        return fail(v->failure, PV_PLANNER_DIRTY, "",
                    "dpkg was interrupted; an administrator has to run: dpkg --configure -a");
    for (size_t i = 0; i < v->catalog.n_entries; i++) {
        struct pv_facts facts;
        const struct pv_entry *entry = &v->catalog.entries[i];
        char name[PV_APT_NAME_MAX + 1];
        if (!pv_facts_read(entry, &facts)) {
            fail(v->failure, PV_PLANNER_UNEXPECTED, "", "dpkg's status file has an entry that is not one.");
            set_detail(v->failure, entry->stanza.at, entry->stanza.len < 200 ? entry->stanza.len : 200);
            return -1;
        }
        snprintf(name, sizeof name, "%.*s", (int)facts.name.len, facts.name.at);
        if (facts.broken && v->request->kind == PV_PLANNER_PLAN)
            return fail(v->failure, PV_PLANNER_DIRTY, name,
                        "%s is not fully installed; an administrator has to run: dpkg --configure -a", name);
    }
    return 0;
}

static int load_status(struct resolver *v)
{
    char path[PV_PLAN_PATH_MAX + 64];
    struct stat st;
    if (add_file(v, &v->catalog, below(v, "/var/lib/dpkg/status", path), PV_CATALOG_STATUS))
        return -1;
    if (stat(below(v, "/var/lib/apt/extended_states", path), &st) == 0 &&
        add_file(v, &v->automatic, path, PV_CATALOG_STATUS))
        return -1;
    return check_journal(v);
}

static int source_number(const struct pv_plan_request *q, struct pv_slice name)
{
    for (size_t i = 0; i < q->n_sources; i++)
        if (pv_slice_is(name, q->sources[i].name))
            return (int)i;
    return -1;
}

/* One line of `apt-get indextargets`: "Packages LIST-FILE:LINE INDEX-FILE". The list file is named after the source. */
static int add_index(struct resolver *v, struct pv_slice line, size_t *n_indexes)
{
    char text[2 * PV_PLAN_PATH_MAX + 64], lists[PV_PLAN_PATH_MAX + 16];
    char *entry, *file, *state = NULL;
    if (line.len >= sizeof text || memchr(line.at, 0, line.len))
        goto unexpected;
    memcpy(text, line.at, line.len);
    text[line.len] = '\0';
    char *kind = strtok_r(text, " ", &state);
    entry = strtok_r(NULL, " ", &state);
    file = strtok_r(NULL, " ", &state);
    if (!kind || strcmp(kind, "Packages") != 0 || !entry || !file || strtok_r(NULL, " ", &state))
        goto unexpected;
    char *base = strrchr(entry, '/'), *dot = base ? strstr(base, ".list:") : NULL;
    snprintf(lists, sizeof lists, "%s", v->request->apt_conf); /* SET/apt.conf: indexes are in SET/lists/ */
    char *slash = strrchr(lists, '/');
    snprintf(slash, sizeof lists - (size_t)(slash - lists), "/lists/");
    if (!dot || strncmp(file, lists, strlen(lists)) != 0 || strchr(file + strlen(lists), '/'))
        goto unexpected;
    int source = source_number(v->request, (struct pv_slice){base + 1, (size_t)(dot - base - 1)});
    if (source < 0)
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "The source lists hold a source that is not permitted.");
    (*n_indexes)++;
    return add_file(v, &v->catalog, file, source);
unexpected:
    fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get lists its indexes in an unexpected form.");
    set_detail(v->failure, line.at, line.len);
    return -1;
}

static int load_indexes(struct resolver *v)
{
    static const char *const argv[] = {"/usr/bin/apt-get",
                                       "indextargets",
                                       "--format",
                                       "$(IDENTIFIER) $(SOURCESENTRY) $(FILENAME)",
                                       "Identifier: Packages",
                                       NULL};
    struct pv_spawned out;
    size_t n_indexes = 0;
    if (v->request->n_sources == 0)
        return fail(v->failure, PV_PLANNER_NO_SOURCES, "",
                    "There are no sources enabled for packages and none were passed as arguments.");
    if (run(v, argv, QUICK_SECONDS, &out))
        return -1;
    int result = out.status == 0 ? 0 : -1;
    if (result) {
        fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get cannot list its indexes.");
        set_detail(v->failure, out.err, out.err_len);
    }
    for (size_t at = 0; !result && at < out.out_len;) {
        size_t n = strcspn(out.out + at, "\n");
        if (n)
            result = add_index(v, (struct pv_slice){out.out + at, n}, &n_indexes);
        at += n + 1;
    }
    pv_spawned_free(&out);
    if (!result && n_indexes == 0)
        return fail(v->failure, PV_PLANNER_NO_INDEX, "", "No index of the permitted sources has been fetched yet.");
    return result;
}

/* ---- what there is ---- */

/* "all" belongs to every architecture, the empty one is the native one. */
static bool arch_fits(const struct resolver *v, struct pv_slice arch, struct pv_slice wanted)
{
    if (pv_slice_is(arch, "all"))
        return true;
    return wanted.len ? pv_slice_same(arch, wanted) : pv_slice_is(arch, v->native);
}

/* The installed (or, if only that is left, config-files) package. False when there is none. */
static bool find_installed(struct resolver *v, struct pv_slice name, struct pv_slice arch, struct pv_facts *facts)
{
    size_t n;
    bool found = false;
    const struct pv_entry *entry = pv_catalog_find(&v->catalog, name, &n);
    for (size_t i = 0; i < n; i++) {
        struct pv_facts one;
        if (entry[i].source != PV_CATALOG_STATUS || !pv_facts_read(&entry[i], &one) ||
            !(one.installed || one.broken || one.config_files) || !arch_fits(v, one.arch, arch))
            continue;
        if (!found || one.installed)
            *facts = one;
        found = true;
    }
    if (!found)
        memset(facts, 0, sizeof *facts);
    return found;
}

static bool is_automatic(struct resolver *v, struct pv_slice name, struct pv_slice arch)
{
    size_t n;
    const struct pv_entry *entry = pv_catalog_find(&v->automatic, name, &n);
    for (size_t i = 0; i < n; i++) {
        struct pv_slice value;
        if (pv_deb822_line(entry[i].stanza, "Auto-Installed", &value) != 1 || !pv_slice_is(value, "1"))
            continue;
        if (pv_deb822_line(entry[i].stanza, "Architecture", &value) != 1 || pv_slice_same(value, arch) ||
            (pv_slice_is(arch, "all") && pv_slice_is(value, v->native)))
            return true;
    }
    return false;
}

static bool damaged(struct resolver *v, const struct pv_entry *entry)
{
    fail(v->failure, PV_PLANNER_UNEXPECTED, "", "The index of source %s has a damaged entry.",
         v->request->sources[entry->source].name);
    set_detail(v->failure, entry->stanza.at, entry->stanza.len < 400 ? entry->stanza.len : 400);
    return true;
}

/* The same package and version with another content in another permitted source: nobody can say which one is meant. */
static int check_agreement(struct resolver *v, const struct pv_facts *facts)
{
    size_t n;
    const struct pv_entry *entry = pv_catalog_find(&v->catalog, facts->name, &n);
    for (size_t i = 0; i < n; i++) {
        struct pv_facts one;
        if (entry[i].source == PV_CATALOG_STATUS)
            continue;
        if (!pv_facts_read(&entry[i], &one))
            return damaged(v, &entry[i]) ? -1 : 0;
        if (!pv_slice_same(one.arch, facts->arch) || !pv_slice_same(one.version, facts->version) ||
            memcmp(one.sha256, facts->sha256, sizeof one.sha256) == 0)
            continue;
        char name[PV_APT_NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)facts->name.len, facts->name.at);
        return fail(v->failure, PV_PLANNER_DISAGREE, name,
                    "Permitted sources offer %s %.*s with different contents (one is %s).", name,
                    (int)facts->version.len, facts->version.at, v->request->sources[entry[i].source].name);
    }
    return 0;
}

struct candidate {
    struct pv_facts facts;
    int source;
};

/* What to look for. */
struct wish {
    struct pv_slice name, arch;
    struct pv_slice version; /* exactly this one; empty: any */
    struct pv_slice above;   /* versions above this one; empty: any */
    bool dependency;         /* dependency-only sources may satisfy it */
};

/* The best candidate: by the sources' priorities, then the highest version. 1 found, 0 none, -1 failed. */
static int find_candidate(struct resolver *v, const struct wish *wish, struct candidate *best)
{
    size_t n;
    int found = 0;
    const struct pv_entry *entry = pv_catalog_find(&v->catalog, wish->name, &n);
    for (size_t i = 0; i < n; i++) {
        struct pv_facts one;
        if (entry[i].source == PV_CATALOG_STATUS)
            continue;
        const struct pv_plan_source *source = &v->request->sources[entry[i].source];
        if (source->dependency_only && !wish->dependency)
            continue;
        if (!pv_facts_read(&entry[i], &one))
            return damaged(v, &entry[i]) ? -1 : 0;
        if (!arch_fits(v, one.arch, wish->arch) || (wish->version.len && !pv_slice_same(one.version, wish->version)) ||
            (wish->above.len &&
             pv_version_compare(PV_ORDER_DPKG, one.version.at, one.version.len, wish->above.at, wish->above.len) <= 0))
            continue;
        if (found) {
            int64_t mine = source->priority, other = v->request->sources[best->source].priority;
            if (pv_apt_goes_before(other, mine))
                continue;
            if (!pv_apt_goes_before(mine, other) &&
                pv_version_compare(PV_ORDER_DPKG, one.version.at, one.version.len, best->facts.version.at,
                                   best->facts.version.len) <= 0)
                continue;
        }
        best->facts = one;
        best->source = entry[i].source;
        found = 1;
    }
    return found && check_agreement(v, &best->facts) ? -1 : found;
}

/* ---- choosing what is asked for ---- */

/* Why there is no candidate, as far as this user may know: a source that cannot satisfy a named package is silent. */
static int no_candidate(struct resolver *v, const struct pv_wanted *p, const struct pv_facts *installed)
{
    struct candidate any;
    struct wish wish = {.name = slice(p->name), .arch = slice(p->arch)};
    int found = find_candidate(v, &wish, &any);
    if (found < 0)
        return -1;
    if (!found && !installed->installed)
        return fail(v->failure, PV_PLANNER_NO_PACKAGE, p->name,
                    "No package of the name %s%s%s is in a permitted source.", p->name, *p->arch ? ":" : "", p->arch);
    return fail(v->failure, PV_PLANNER_NO_VERSION, p->name, "No permitted source has version %s of %s.", p->version,
                p->name);
}

static int choose_install(struct resolver *v, size_t i)
{
    const struct pv_wanted *p = &v->request->packages[i];
    struct pv_facts here;
    struct candidate best;
    struct wish wish = {.name = slice(p->name), .arch = slice(p->arch), .version = slice(p->version)};
    bool present = find_installed(v, wish.name, wish.arch, &here) && here.installed;
    bool upgrade = v->request->verb == PV_VERB_UPGRADE, again = v->request->verb == PV_VERB_REINSTALL;
    if (!present)
        here.installed = false;
    if (!present && (upgrade || again)) {
        wish.version = slice("");
        int found = find_candidate(v, &wish, &best);
        if (found < 0)
            return -1;
        return found ? fail(v->failure, PV_PLANNER_NOT_INSTALLED, p->name, "%s is not installed.", p->name)
                     : no_candidate(v, p, &here);
    }
    if (present && again)
        wish.version = here.version;
    else if (present && !*p->version)
        wish.above = here.version;
    int found = find_candidate(v, &wish, &best);
    if (found < 0)
        return -1;
    if (!found && present && !again && (!*p->version || pv_slice_same(here.version, wish.version))) {
        v->chosen[i].skip = true; /* already the newest, or exactly the version that was asked for */
        v->chosen[i].name = here.name, v->chosen[i].arch = here.arch, v->chosen[i].version = here.version;
        return 0;
    }
    if (!found)
        return no_candidate(v, p, &here);
    bool same = present && pv_slice_same(here.version, best.facts.version);
    v->chosen[i].skip = same && !again;
    v->chosen[i].name = best.facts.name, v->chosen[i].arch = best.facts.arch;
    v->chosen[i].version = best.facts.version;
    if (present && here.held && (!same || again))
        return fail(v->failure, PV_PLANNER_HELD, p->name, "%s is on hold at version %.*s.", p->name,
                    (int)here.version.len, here.version.at);
    return 0;
}

static int choose_removal(struct resolver *v, size_t i)
{
    const struct pv_wanted *p = &v->request->packages[i];
    struct pv_facts here;
    size_t n;
    bool known = pv_catalog_find(&v->catalog, slice(p->name), &n) != NULL;
    bool present = find_installed(v, slice(p->name), slice(p->arch), &here) && here.installed;
    if (!present && !*p->arch) { /* one of another architecture, if it is the only one */
        size_t installed = 0;
        const struct pv_entry *entry = pv_catalog_find(&v->catalog, slice(p->name), &n);
        for (size_t j = 0; j < n; j++) {
            struct pv_facts one;
            if (entry[j].source == PV_CATALOG_STATUS && pv_facts_read(&entry[j], &one) && one.installed)
                here = one, installed++;
        }
        if (installed > 1)
            return fail(v->failure, PV_PLANNER_AMBIGUOUS, p->name,
                        "%s is installed for several architectures; name one.", p->name);
        present = installed == 1;
    }
    if (!present)
        return known ? fail(v->failure, PV_PLANNER_NOT_INSTALLED, p->name, "%s is not installed.", p->name)
                     : fail(v->failure, PV_PLANNER_NO_PACKAGE, p->name, "No package of the name %s is installed.",
                            p->name);
    if (*p->version && !pv_slice_is(here.version, p->version))
        return fail(v->failure, PV_PLANNER_NO_VERSION, p->name, "Version %s of %s is not the one installed.",
                    p->version, p->name);
    if (here.held)
        return fail(v->failure, PV_PLANNER_HELD, p->name, "%s is on hold.", p->name);
    v->chosen[i].name = here.name, v->chosen[i].arch = here.arch, v->chosen[i].version = here.version;
    return 0;
}

/* ---- apt's turn ---- */

/* Words for a vector, terminated one after the other; pointers are made when nothing moves any more. */
struct words {
    struct pv_text text;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void word(struct words *w, const char *format, ...)
{
    char one[PV_PLAN_PATH_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(one, sizeof one, format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof one)
        w->text.failed = true;
    else
        pv_text_add(&w->text, one, (size_t)n + 1);
    w->n++;
}

static void package_word(struct words *w, struct pv_slice name, struct pv_slice arch, struct pv_slice version)
{
    bool all = pv_slice_is(arch, "all");
    word(w, "%.*s%s%.*s=%.*s+", (int)name.len, name.at, all ? "" : ":", all ? 0 : (int)arch.len, arch.at,
         (int)version.len, version.at);
}

static void simulation_words(struct resolver *v, struct words *w, const char *quiet)
{
    const struct pv_plan_request *q = v->request;
    bool removal = q->verb == PV_VERB_UNINSTALL, everything = q->verb == PV_VERB_UPGRADE && q->n_packages == 0;
    word(w, "/usr/bin/apt-get");
    word(w, "--simulate");
    word(w, "%s", quiet);
    word(w, "--option");
    word(w, "APT::Get::Show-User-Simulation-Note=false");
    word(w, "--option");
    word(w, "Debug::NoLocking=true");
    word(w, "--allow-downgrades"); /* here they are told, and the policy decides */
    word(w, "--allow-remove-essential");
    if (v->pins >= 0) {
        word(w, "--option");
        word(w, "Dir::Etc::preferences=/proc/self/fd/3");
    }
    if (q->n_sources == 0) { /* nothing can come in */
        word(w, "--option");
        word(w, "Dir::Etc::sourceparts=/dev/null");
    }
    if (q->flags & PV_PLANNER_F_NO_RECOMMENDS)
        word(w, "--no-install-recommends");
    if (q->flags & PV_PLANNER_F_AUTOREMOVE)
        word(w, "--auto-remove");
    if (q->flags & PV_PLANNER_F_PURGE)
        word(w, "--purge");
    if (q->verb == PV_VERB_REINSTALL)
        word(w, "--reinstall");
    if (everything) {
        word(w, "--with-new-pkgs");
        word(w, "upgrade");
    } else {
        word(w, removal ? "remove" : "install");
    }
    word(w, "--");
    for (size_t i = 0; i < q->n_packages; i++) {
        struct pv_slice name = v->chosen[i].name, arch = v->chosen[i].arch;
        bool all = pv_slice_is(arch, "all");
        if (removal)
            word(w, "%.*s%s%.*s", (int)name.len, name.at, all ? "" : ":", all ? 0 : (int)arch.len, arch.at);
        else
            package_word(w, name, arch, v->chosen[i].version);
    }
}

static int simulate(struct resolver *v, const char *quiet, struct pv_spawned *out)
{
    struct words w = {0};
    simulation_words(v, &w, quiet);
    const char **argv = w.text.failed ? NULL : calloc(w.n + 1, sizeof *argv);
    if (!argv) {
        free(w.text.data);
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    }
    const char *at = w.text.data;
    for (size_t i = 0; i < w.n; i++, at += strlen(at) + 1)
        argv[i] = at;
    int result = run(v, argv, SIMULATION_SECONDS, out);
    free(argv);
    free(w.text.data);
    return result;
}

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

/* apt's explanation without what every explanation begins with. */
static void explain(struct pv_plan_failure *f, const struct pv_spawned *out)
{
    struct pv_text text = {0};
    const char *from = strstr(out->out, "The following packages have unmet dependencies");
    const char *both[2] = {from ? from : out->out, out->err};
    pv_text_add(&text, "", 0);
    for (int i = 0; i < 2; i++)
        for (const char *line = both[i]; *line;) {
            size_t n = strcspn(line, "\n");
            if (n && !begins(line, "Reading ") && !begins(line, "Building ") && !begins(line, "W: ") &&
                !begins(line, "N: ")) {
                pv_text_add(&text, line, n);
                pv_text_add(&text, "\n", 1);
            }
            line += n + (line[n] ? 1 : 0);
        }
    set_detail(f, text.failed ? "" : text.data, text.failed ? 0 : text.len);
    free(text.data);
}

/* Asks apt once more, for its explanation. */
static int unresolved(struct resolver *v)
{
    struct pv_spawned out;
    if (simulate(v, "--quiet", &out))
        return -1;
    const char *subject = v->request->n_packages == 1 ? v->request->packages[0].name : "";
    if (strstr(out.err, "dpkg was interrupted"))
        fail(v->failure, PV_PLANNER_DIRTY, "",
             "dpkg was interrupted; an administrator has to run: dpkg --configure -a");
    else if (strstr(out.out, "unmet dependencies") || strstr(out.err, "held broken packages") ||
             strstr(out.err, "Unmet dependencies"))
        fail(v->failure, PV_PLANNER_UNMET, subject, "What %s needs cannot be satisfied from the permitted sources.",
             *subject ? subject : "the request");
    else
        fail(v->failure, PV_PLANNER_UNEXPECTED, subject, "apt-get cannot plan this.");
    explain(v->failure, &out);
    pv_spawned_free(&out);
    return -1;
}

/* ---- reading the simulation ---- */

static bool requested(const struct resolver *v, struct pv_slice name)
{
    for (size_t i = 0; i < v->request->n_packages; i++)
        if (pv_slice_is(name, v->request->packages[i].name))
            return true;
    return false;
}

/* One operation and where its facts are: the plan's working form. */
struct step {
    enum pv_plan_action action;
    struct pv_facts facts; /* of the entry in the index, or of the installed package for a removal */
    struct pv_facts here;  /* of the installed package */
    int source;
    bool asked;
    bool root; /* where the closure of wanted_by starts */
};

struct steps {
    struct step *all;
    size_t n, cap;
};

static struct step *add_step(struct steps *s)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 32;
        struct step *grown = cap > 2 * PV_PLAN_OPS_MAX ? NULL : realloc(s->all, cap * sizeof *grown);
        if (!grown)
            return NULL;
        s->all = grown;
        s->cap = cap;
    }
    struct step *one = &s->all[s->n++];
    memset(one, 0, sizeof *one);
    return one;
}

static int unexpected_line(struct resolver *v, struct pv_slice raw, const char *why)
{
    fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get's plan holds a line that %s.", why);
    set_detail(v->failure, raw.at, raw.len);
    return -1;
}

static int read_removal(struct resolver *v, const struct pv_sim_line *line, struct pv_slice raw, struct step *step)
{
    if (!find_installed(v, line->name, line->name_arch, &step->here) || !pv_slice_same(step->here.version, line->old))
        return unexpected_line(v, raw, "removes what dpkg's database does not have");
    step->action = line->kind == PV_SIM_PURG ? PV_PLAN_PURGE : PV_PLAN_REMOVE;
    step->facts = step->here;
    step->source = PV_CATALOG_STATUS;
    return 0;
}

static int read_arrival(struct resolver *v, const struct pv_sim_line *line, struct pv_slice raw, struct step *step)
{
    struct candidate got = {.source = 0};
    struct wish wish = {.name = line->name,
                        .arch = pv_slice_is(line->arch, "all") ? line->name_arch : line->arch,
                        .version = line->new,
                        .dependency = true};
    if (requested(v, line->name)) { /* prefer a source that may satisfy it by name */
        wish.dependency = false;
        int found = find_candidate(v, &wish, &got);
        if (found < 0)
            return -1;
        if (!found)
            return unexpected_line(v, raw, "takes what was asked for from a source that may not satisfy it");
    } else {
        int found = find_candidate(v, &wish, &got);
        if (found < 0)
            return -1;
        if (!found)
            return unexpected_line(v, raw, "brings what no permitted index has");
    }
    if (!pv_slice_same(got.facts.arch, line->arch))
        return unexpected_line(v, raw, "names another architecture than the index");
    bool present = find_installed(v, line->name, line->name_arch, &step->here) && step->here.installed;
    if (present != (line->old.len > 0) || (present && !pv_slice_same(step->here.version, line->old)))
        return unexpected_line(v, raw, "disagrees with dpkg's database");
    step->facts = got.facts;
    step->source = got.source;
    int order =
        present ? pv_version_compare(PV_ORDER_DPKG, line->new.at, line->new.len, line->old.at, line->old.len) : 0;
    step->action = !present    ? PV_PLAN_INSTALL
                   : order > 0 ? PV_PLAN_UPGRADE
                   : order < 0 ? PV_PLAN_DOWNGRADE
                               : PV_PLAN_REINSTALL;
    return 0;
}

static int read_steps(struct resolver *v, const struct pv_spawned *out, struct steps *steps)
{
    struct pv_sim_line line;
    struct pv_slice raw;
    size_t at = 0;
    int more;
    bool everything = v->request->n_packages == 0;
    steps->n = 0;
    while ((more = pv_sim_next(out->out, out->out_len, &at, &line, &raw)) > 0) {
        if (line.kind == PV_SIM_CONF)
            continue;
        struct step *step = steps->n < PV_PLAN_OPS_MAX ? add_step(steps) : NULL;
        if (!step)
            return fail(v->failure, PV_PLANNER_INTERNAL, "", "The plan has more than %d operations.", PV_PLAN_OPS_MAX);
        bool removal = line.kind != PV_SIM_INST;
        if (removal ? read_removal(v, &line, raw, step) : read_arrival(v, &line, raw, step))
            return -1;
        step->asked = requested(v, line.name);
        step->root = everything ? step->here.installed && !removal : step->asked;
    }
    return more < 0 ? unexpected_line(v, raw, "does not have the expected form") : 0;
}

/* ---- the order of the sources ---- */

/* Adds the pin of one package, when its best version by the sources' order is not the one that apt would take. */
static void add_pin(struct resolver *v, const struct pv_entry *group, size_t n, struct pv_text *pins)
{
    struct candidate best;
    struct pv_facts here;
    bool several = false;
    for (size_t i = 0; i < n; i++)
        several |= group[i].source != PV_CATALOG_STATUS && group[i].source != group[n - 1].source;
    if (!several)
        return;
    struct wish wish = {.name = group[0].name, .dependency = true};
    if (find_installed(v, wish.name, wish.arch, &here) && here.installed)
        wish.above = here.version;
    /* A damaged entry harms who asks for it, and who asks for what depends on it; not everybody. */
    if (find_candidate(v, &wish, &best) != 1)
        return;
    for (size_t i = 0; i < n; i++) {
        struct pv_facts other;
        if (group[i].source == PV_CATALOG_STATUS || !pv_facts_read(&group[i], &other) ||
            !arch_fits(v, other.arch, wish.arch) ||
            pv_version_compare(PV_ORDER_DPKG, other.version.at, other.version.len, best.facts.version.at,
                               best.facts.version.len) <= 0)
            continue;
        /* 990: above the default and below 1000, from which on apt would downgrade for it. */
        pv_text_printf(pins, "Package: %.*s\nPin: version %.*s\nPin-Priority: 990\n\n", (int)best.facts.name.len,
                       best.facts.name.at, (int)best.facts.version.len, best.facts.version.at);
        break;
    }
}

static int write_pins(struct resolver *v)
{
    const struct pv_plan_request *q = v->request;
    struct pv_text pins = {0};
    bool ordered = false;
    size_t n;
    for (size_t i = 1; i < q->n_sources; i++)
        ordered |= q->sources[i].priority != q->sources[0].priority;
    if (!ordered)
        return 0;
    pv_catalog_find(&v->catalog, slice(""), &n); /* sorts */
    for (size_t i = 0; i < v->catalog.n_entries; i += n) {
        const struct pv_entry *group = &v->catalog.entries[i];
        for (n = 1; i + n < v->catalog.n_entries && pv_slice_same(group[n].name, group->name);)
            n++;
        if (n > 1)
            add_pin(v, group, n, &pins);
    }
    memset(v->failure, 0, sizeof *v->failure);
    int result = 0;
    if (pins.len) {
        v->pins = memfd_create("preferences", MFD_CLOEXEC);
        if (v->pins < 0 || pins.failed || write(v->pins, pins.data, pins.len) != (ssize_t)pins.len)
            result = fail(v->failure, PV_PLANNER_INTERNAL, "", "The order of the sources cannot be given to apt-get.");
    }
    free(pins.data);
    return result;
}

static void drop_pins(struct resolver *v)
{
    if (v->pins >= 0)
        close(v->pins);
    v->pins = -1;
}

/* The order of the sources is a preference: where dependencies cannot be met with it, they are met without. */
static int solve(struct resolver *v, struct steps *steps)
{
    struct pv_spawned out;
    if (simulate(v, "-qq", &out))
        return -1;
    if (out.status && v->pins >= 0) {
        pv_spawned_free(&out);
        drop_pins(v);
        if (simulate(v, "-qq", &out))
            return -1;
    }
    int result = out.status ? unresolved(v) : read_steps(v, &out, steps);
    pv_spawned_free(&out); /* the steps point into the catalog only */
    return result;
}

/* ---- who wanted what ---- */

static bool provides(const struct pv_facts *facts, const struct pv_relation *relation)
{
    if (pv_slice_same(facts->name, relation->name))
        return pv_relation_holds(relation, facts->version);
    struct pv_relation given;
    for (size_t at = 0; pv_relation_next(facts->provides, &at, &given) > 0;)
        if (pv_slice_same(given.name, relation->name) &&
            (!relation->op[0] || (given.version.len && pv_relation_holds(relation, given.version))))
            return true;
    return false;
}

/* Whether an installed package that the plan leaves alone satisfies the alternative. */
static bool satisfied_already(struct resolver *v, const struct steps *steps, const struct pv_relation *relation)
{
    struct pv_facts here;
    if (!find_installed(v, relation->name, slice(""), &here) || !here.installed ||
        !pv_relation_holds(relation, here.version))
        return false;
    for (size_t i = 0; i < steps->n; i++)
        if (pv_slice_same(steps->all[i].facts.name, here.name) && pv_slice_same(steps->all[i].here.arch, here.arch) &&
            pv_plan_is_removal(&(struct pv_plan_op){.action = steps->all[i].action}))
            return false;
    return true;
}

struct reach {
    const struct steps *steps;
    uint8_t *seen; /* per step: reached from the current root */
    size_t *queue;
    size_t n_queue;
};

static void reach(struct reach *r, size_t i)
{
    if (!r->seen[i]) {
        r->seen[i] = 1;
        r->queue[r->n_queue++] = i;
    }
}

/* Follows one field of dependencies: of each group that nothing installed satisfies, every alternative that arrives. */
static bool follow_needs(struct resolver *v, struct reach *r, struct pv_slice field)
{
    struct pv_relation relation;
    int more;
    for (size_t at = 0, group; group = at, (more = pv_relation_next(field, &at, &relation)) > 0;) {
        bool satisfied = satisfied_already(v, r->steps, &relation);
        while (relation.or_next) {
            if (pv_relation_next(field, &at, &relation) <= 0)
                return false;
            satisfied |= satisfied_already(v, r->steps, &relation);
        }
        for (size_t again = group; !satisfied && again < at;) {
            if (pv_relation_next(field, &again, &relation) <= 0)
                break;
            for (size_t i = 0; i < r->steps->n; i++)
                if (r->steps->all[i].source != PV_CATALOG_STATUS && provides(&r->steps->all[i].facts, &relation))
                    reach(r, i);
        }
    }
    return more == 0;
}

/* Conflicts and Breaks of what arrives: the installed packages that they hit and that the plan changes. */
static bool follow_hits(struct reach *r, struct pv_slice field)
{
    struct pv_relation relation;
    int more;
    for (size_t at = 0; (more = pv_relation_next(field, &at, &relation)) > 0;)
        for (size_t i = 0; i < r->steps->n; i++)
            if (r->steps->all[i].here.installed && provides(&r->steps->all[i].here, &relation))
                reach(r, i);
    return more == 0;
}

/* Removing (or replacing) `gone` takes along what depended on it, and removes it where what arrives hits it. */
static bool follow_removal(struct reach *r, size_t from)
{
    const struct pv_facts *gone = &r->steps->all[from].here;
    for (size_t i = 0; i < r->steps->n; i++) {
        const struct step *s = &r->steps->all[i];
        if (!s->here.installed || r->seen[i])
            continue;
        const struct pv_slice fields[2] = {s->here.depends, s->here.pre_depends};
        for (int f = 0; f < 2; f++) {
            struct pv_relation relation;
            int more;
            for (size_t at = 0; (more = pv_relation_next(fields[f], &at, &relation)) > 0;)
                if (provides(gone, &relation))
                    reach(r, i);
            if (more < 0)
                return false;
        }
    }
    return true;
}

static bool follow(struct resolver *v, struct reach *r, size_t from)
{
    const struct step *s = &r->steps->all[from];
    bool removal = s->source == PV_CATALOG_STATUS;
    if (removal)
        return follow_removal(r, from);
    return follow_needs(v, r, s->facts.pre_depends) && follow_needs(v, r, s->facts.depends) &&
           follow_needs(v, r, s->facts.recommends) && follow_hits(r, s->facts.conflicts) &&
           follow_hits(r, s->facts.breaks);
}

/* matrix[root's number * n + step]: reached. */
static int compute_reach(struct resolver *v, const struct steps *steps, uint8_t *matrix, const size_t *roots,
                         size_t n_roots)
{
    size_t *queue = calloc(steps->n + 1, sizeof *queue);
    if (!queue)
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    int result = 0;
    for (size_t k = 0; !result && k < n_roots; k++) {
        struct reach r = {.steps = steps, .seen = matrix + k * steps->n, .queue = queue};
        reach(&r, roots[k]);
        for (size_t i = 0; i < r.n_queue; i++)
            if (!follow(v, &r, r.queue[i])) {
                const struct pv_facts *facts = &steps->all[r.queue[i]].facts;
                char name[PV_APT_NAME_MAX + 1];
                snprintf(name, sizeof name, "%.*s", (int)facts->name.len, facts->name.at);
                result = fail(v->failure, PV_PLANNER_UNEXPECTED, name, "The dependencies of %s are malformed.", name);
                break;
            }
    }
    free(queue);
    return result;
}

/* ---- the plan ---- */

struct texts {
    char name[PV_APT_NAME_MAX + 1], arch[PV_APT_ARCH_MAX + 1], old[PV_APT_VERSION_MAX + 1], new[PV_APT_VERSION_MAX + 1],
        section[256], filename[PV_PLAN_PATH_MAX + 1];
};

static const char *copied(char *dst, size_t size, struct pv_slice s)
{
    snprintf(dst, size, "%.*s", (int)s.len, s.len ? s.at : "");
    return dst;
}

static int add_operation(struct resolver *v, const struct step *s, const char *const *wanted, size_t n_wanted,
                         struct pv_plan *plan)
{
    struct texts t;
    bool removal = s->source == PV_CATALOG_STATUS, asked = s->asked || (v->request->n_packages == 0 && s->root);
    struct pv_plan_op op = {
        .action = s->action,
        .essential = s->here.essential || (!removal && s->facts.essential),
        .dependency = !asked,
        .held = s->here.held,
        .config_files = s->here.config_files,
        .name = copied(t.name, sizeof t.name, s->facts.name),
        .arch = copied(t.arch, sizeof t.arch, s->facts.arch),
        .old_version = copied(t.old, sizeof t.old, s->here.installed ? s->here.version : slice("")),
        .new_version = copied(t.new, sizeof t.new, removal ? slice("") : s->facts.version),
        .source = removal ? "" : v->request->sources[s->source].name,
        .section = copied(t.section, sizeof t.section, s->facts.section),
        .filename = copied(t.filename, sizeof t.filename, removal ? slice("") : s->facts.filename),
        .download_size = removal ? 0 : s->facts.size,
        .wanted_by = asked ? NULL : wanted,
        .n_wanted_by = asked ? 0 : n_wanted,
    };
    if (!removal)
        memcpy(op.sha256, s->facts.sha256, sizeof op.sha256);
    op.automatic = s->here.installed && is_automatic(v, s->here.name, s->here.arch);
    if (op.held && s->here.installed)
        return fail(v->failure, PV_PLANNER_HELD, t.name, "%s is on hold, and the request would change it.", t.name);
    switch (pv_plan_add(plan, &op)) {
    case 0: return 0;
    case PV_E_PLAN_NOMEM: return fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    default:
        return fail(v->failure, PV_PLANNER_UNEXPECTED, t.name, "The facts about %s contradict each other.", t.name);
    }
}

static int make_plan(struct resolver *v, const struct steps *steps, struct pv_plan *plan)
{
    size_t *roots = calloc(steps->n + 1, sizeof *roots), n_roots = 0;
    const char **wanted = calloc(PV_PLAN_WANTED_MAX, sizeof *wanted);
    char(*names)[PV_APT_NAME_MAX + 1] = calloc(PV_PLAN_WANTED_MAX, sizeof *names);
    uint8_t *matrix = NULL;
    int result = -1;
    for (size_t i = 0; roots && i < steps->n && n_roots < PV_PLAN_WANTED_MAX; i++)
        if (steps->all[i].root)
            roots[n_roots++] = i;
    if (roots && wanted && names)
        matrix = calloc(n_roots + 1, steps->n + 1);
    if (!matrix) {
        fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
        goto out;
    }
    if (compute_reach(v, steps, matrix, roots, n_roots))
        goto out;
    for (size_t i = 0; i < steps->n; i++) {
        size_t n = 0;
        for (size_t k = 0; k < n_roots; k++)
            if (matrix[k * steps->n + i] && roots[k] != i) {
                wanted[n] = copied(names[n], sizeof names[n], steps->all[roots[k]].facts.name);
                n++;
            }
        if (add_operation(v, &steps->all[i], wanted, n, plan))
            goto out;
    }
    result = pv_plan_sort(plan);
    if (result)
        result = fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get's plan touches one package twice.");
out:
    free(roots);
    free(wanted);
    free(names);
    free(matrix);
    return result;
}

static void resolver_clear(struct resolver *v)
{
    pv_catalog_clear(&v->catalog);
    pv_catalog_clear(&v->automatic);
    drop_pins(v);
    free(v);
}

int pv_plan_resolve(const struct pv_plan_request *q, struct pv_plan *plan, struct pv_plan_failure *f)
{
    struct steps steps = {0};
    struct resolver *v = calloc(1, sizeof *v);
    int result = -1;
    memset(f, 0, sizeof *f);
    pv_plan_clear(plan);
    if (!v)
        return fail(f, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    v->request = q;
    v->failure = f;
    v->pins = -1;
    bool removal = q->verb == PV_VERB_UNINSTALL, everything = q->verb == PV_VERB_UPGRADE && q->n_packages == 0;
    if (q->n_packages == 0 && !everything) {
        fail(f, PV_PLANNER_BAD_NAME, "", "No package is named.");
        goto out;
    }
    if (read_native(v) || load_status(v) || ((!removal || q->n_sources) && load_indexes(v)))
        goto out;
    bool idle = !everything;
    for (size_t i = 0; i < q->n_packages; i++) {
        if (removal ? choose_removal(v, i) : choose_install(v, i))
            goto out;
        idle = idle && v->chosen[i].skip;
    }
    result = 0;
    if (idle)
        goto out; /* everything is as it was asked to be */
    result = write_pins(v) || solve(v, &steps) ? -1 : 0;
    if (!result)
        result = make_plan(v, &steps, plan);
out:
    if (result)
        pv_plan_clear(plan);
    free(steps.all);
    resolver_clear(v);
    return result;
}

/* ---- states ---- */

static int give_state(struct resolver *v, struct pv_slice name, struct pv_slice arch, pv_state_sink *give,
                      void *context)
{
    struct texts t;
    char summary_text[4 * 200 + 8] = "";
    struct pv_facts here;
    struct candidate best;
    bool known = find_installed(v, name, arch, &here);
    struct wish wish = {.name = name, .arch = arch};
    if (known && here.installed)
        wish.above = here.version;
    int found = 0;
    if (v->request->kind == PV_PLANNER_NAMES) {
        found = find_candidate(v, &wish, &best);
        if (found == 0 && wish.above.len) { /* nothing newer: the best of what there is */
            wish.above = slice("");
            found = find_candidate(v, &wish, &best);
        }
        if (found < 0)
            return -1;
    }
    const struct pv_facts *facts = found ? &best.facts : &here;
    struct pv_text summary = {0};
    pv_text_escaped(&summary, facts->summary.len ? facts->summary.at : "", facts->summary.len, 200);
    snprintf(summary_text, sizeof summary_text, "%s", summary.data && !summary.failed ? summary.data : "");
    free(summary.data);
    struct pv_plan_state state = {
        .name = copied(t.name, sizeof t.name, name),
        .arch = copied(t.arch, sizeof t.arch, known && here.arch.len ? here.arch : facts->arch),
        .installed = here.installed,
        .broken = here.broken,
        .config_files = here.config_files,
        .held = here.held,
        .essential = here.essential || (found && best.facts.essential),
        .automatic = here.installed && is_automatic(v, name, here.arch),
        .available = found,
        .installed_version = copied(t.old, sizeof t.old, here.installed || here.broken ? here.version : slice("")),
        .section = copied(t.section, sizeof t.section, facts->section),
        .candidate_version = copied(t.new, sizeof t.new, found ? best.facts.version : slice("")),
        .candidate_source = found ? v->request->sources[best.source].name : "",
        .download_size = found ? best.facts.size : 0,
        .summary = summary_text,
    };
    if (give(context, &state))
        return fail(v->failure, PV_PLANNER_INTERNAL, "", "The answer could not be given.");
    return 0;
}

int pv_plan_states(const struct pv_plan_request *q, pv_state_sink *give, void *context, struct pv_plan_failure *f)
{
    struct resolver *v = calloc(1, sizeof *v);
    int result = -1;
    size_t given = 0;
    memset(f, 0, sizeof *f);
    if (!v)
        return fail(f, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    v->request = q;
    v->failure = f;
    v->pins = -1;
    if (read_native(v) || load_status(v))
        goto out;
    if (q->kind == PV_PLANNER_NAMES && load_indexes(v))
        goto out;
    result = 0;
    for (size_t i = 0; !result && i < q->n_packages; i++)
        result = give_state(v, slice(q->packages[i].name), slice(q->packages[i].arch), give, context);
    if (q->n_packages || q->kind != PV_PLANNER_STATE)
        goto out;
    for (size_t i = 0; !result && i < v->catalog.n_entries; i++) { /* everything that is there in any way */
        struct pv_facts facts;
        if (!pv_facts_read(&v->catalog.entries[i], &facts) || !(facts.installed || facts.broken || facts.config_files))
            continue;
        if (++given > PV_PLAN_STATES_MAX)
            result = fail(f, PV_PLANNER_INTERNAL, "", "More than %d packages are installed.", PV_PLAN_STATES_MAX);
        else
            result = give_state(v, facts.name, pv_slice_is(facts.arch, "all") ? slice("") : facts.arch, give, context);
    }
out:
    resolver_clear(v);
    return result;
}
