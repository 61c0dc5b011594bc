/*
 * What there is: dpkg's status file, apt's marks, the permitted sources' indexes, and the programs that are asked.
 *
 * Which source an index belongs to is the name of the list file that apt read it from; a list that names a source which
 * the request does not permit ends the request.
 */
#include "agentd/apt/planner_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/proviso.h"

enum { QUICK_SECONDS = 20 };

int pv_planner_run(struct resolver *v, const char *const *argv, int seconds, struct pv_spawned *result)
{
    char config[PV_PLAN_PATH_MAX + 16];
    snprintf(config, sizeof config, "APT_CONFIG=%s", v->request->apt_conf);
    const char *const envp[] = {
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent", "TERM=dumb", config, NULL};
    if (pv_spawn_capture(result, argv, envp, v->pins, seconds) != 0)
        return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "%s cannot be run: %s.", argv[0], strerror(errno));
    if (result->expired || result->too_long) {
        int answer =
            pv_planner_fail(v->failure, result->expired ? PV_PLANNER_TIMEOUT : PV_PLANNER_UNEXPECTED, "",
                            result->expired ? "%s took longer than it may." : "%s wrote more than it may.", argv[0]);
        pv_spawned_free(result);
        return answer;
    }
    return 0;
}

int pv_planner_native(struct resolver *v)
{
    static const char *const argv[] = {"/usr/bin/dpkg", "--print-architecture", NULL};
    struct pv_spawned out = {0};
    if (pv_planner_run(v, argv, QUICK_SECONDS, &out))
        return -1;
    size_t n = strcspn(out.out, "\n");
    bool good = out.status == 0 && n + 1 == out.out_len && pv_apt_arch_valid(out.out, n);
    if (good)
        snprintf(v->native, sizeof v->native, "%.*s", (int)n, out.out);
    else
        pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "dpkg does not say this machine's architecture.");
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
        return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "%s cannot be read: %s.", path, strerror(errno));
    if (result)
        return pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "%s is not a list of packages, or is too large.",
                               path);
    return 0;
}

/* dpkg leaves numbered files in updates/ when it is interrupted, and packages in a state between. */
static int check_journal(struct resolver *v)
{
    char path[PV_PLAN_PATH_MAX + 64];
    DIR *d = opendir(below(v, "/var/lib/dpkg/updates", path));
    bool dirty = false;
    if (!d && errno != ENOENT)
        return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "%s cannot be read: %s.", path, strerror(errno));
    for (struct dirent *entry; d && (entry = readdir(d));) {
        size_t n = strspn(entry->d_name, "0123456789");
        dirty |= n > 0 && entry->d_name[n] == '\0';
    }
    if (d)
        closedir(d);
    if (dirty)
        return pv_planner_fail(v->failure, PV_PLANNER_DIRTY, "",
                               "dpkg was interrupted; an administrator has to run: dpkg --configure -a");
    for (size_t i = 0; i < v->catalog.n_entries; i++) {
        struct pv_facts facts;
        const struct pv_entry *entry = &v->catalog.entries[i];
        char name[PV_APT_NAME_MAX + 1];
        if (!pv_facts_read(entry, &facts)) {
            pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "dpkg's status file has an entry that is not one.");
            pv_planner_detail(v->failure, entry->stanza.at, entry->stanza.len < 200 ? entry->stanza.len : 200);
            return -1;
        }
        snprintf(name, sizeof name, "%.*s", (int)facts.name.len, facts.name.at);
        if (facts.broken && v->request->kind == PV_PLANNER_PLAN)
            return pv_planner_fail(v->failure, PV_PLANNER_DIRTY, name,
                                   "%s is not fully installed; an administrator has to run: dpkg --configure -a", name);
    }
    return 0;
}

int pv_planner_load_status(struct resolver *v)
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
        return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "",
                               "The source lists hold a source that is not permitted.");
    (*n_indexes)++;
    return add_file(v, &v->catalog, file, source);
unexpected:
    pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get lists its indexes in an unexpected form.");
    pv_planner_detail(v->failure, line.at, line.len);
    return -1;
}

int pv_planner_load_indexes(struct resolver *v)
{
    static const char *const argv[] = {"/usr/bin/apt-get",
                                       "indextargets",
                                       "--format",
                                       "$(IDENTIFIER) $(SOURCESENTRY) $(FILENAME)",
                                       "Identifier: Packages",
                                       NULL};
    struct pv_spawned out = {0};
    size_t n_indexes = 0;
    if (v->request->n_sources == 0)
        return pv_planner_fail(v->failure, PV_PLANNER_NO_SOURCES, "",
                               "There are no sources enabled for packages and none were passed as arguments.");
    if (pv_planner_run(v, argv, QUICK_SECONDS, &out))
        return -1;
    int result = out.status == 0 ? 0 : -1;
    if (result) {
        pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get cannot list its indexes.");
        pv_planner_detail(v->failure, out.err, out.err_len);
    }
    for (size_t at = 0; !result && at < out.out_len;) {
        size_t n = strcspn(out.out + at, "\n");
        if (n)
            result = add_index(v, (struct pv_slice){out.out + at, n}, &n_indexes);
        at += n + 1;
    }
    pv_spawned_free(&out);
    if (!result && n_indexes == 0)
        return pv_planner_fail(v->failure, PV_PLANNER_NO_INDEX, "",
                               "No index of the permitted sources has been fetched yet.");
    return result;
}

/* "all" belongs to every architecture, the empty one is the native one. */
bool pv_planner_arch_fits(const struct resolver *v, struct pv_slice arch, struct pv_slice wanted)
{
    if (pv_slice_is(arch, "all"))
        return true;
    return wanted.len ? pv_slice_same(arch, wanted) : pv_slice_is(arch, v->native);
}

/* The installed (or, if only that is left, config-files) package. False when there is none. */
bool pv_planner_installed(struct resolver *v, struct pv_slice name, struct pv_slice arch, struct pv_facts *facts)
{
    size_t n;
    bool found = false;
    const struct pv_entry *entry = pv_catalog_find(&v->catalog, name, &n);
    for (size_t i = 0; i < n; i++) {
        struct pv_facts one;
        if (entry[i].source != PV_CATALOG_STATUS || !pv_facts_read(&entry[i], &one) ||
            !(one.installed || one.broken || one.config_files) || !pv_planner_arch_fits(v, one.arch, arch))
            continue;
        if (!found || one.installed)
            *facts = one;
        found = true;
    }
    if (!found)
        memset(facts, 0, sizeof *facts);
    return found;
}

bool pv_planner_automatic(struct resolver *v, struct pv_slice name, struct pv_slice arch)
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
    pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "The index of source %s has a damaged entry.",
                    v->request->sources[entry->source].name);
    pv_planner_detail(v->failure, entry->stanza.at, entry->stanza.len < 400 ? entry->stanza.len : 400);
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
        return pv_planner_fail(v->failure, PV_PLANNER_DISAGREE, name,
                               "Permitted sources offer %s %.*s with different contents (one is %s).", name,
                               (int)facts->version.len, facts->version.at, v->request->sources[entry[i].source].name);
    }
    return 0;
}

/* The best candidate: by the sources' priorities, then the highest version. 1 found, 0 none, -1 failed. */
int pv_planner_candidate(struct resolver *v, const struct wish *wish, struct candidate *best)
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
        if (!pv_planner_arch_fits(v, one.arch, wish->arch) ||
            (wish->version.len && !pv_slice_same(one.version, wish->version)) ||
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

void pv_planner_clear(struct resolver *v)
{
    pv_catalog_clear(&v->catalog);
    pv_catalog_clear(&v->automatic);
    pv_planner_drop_pins(v);
    free(v);
}
