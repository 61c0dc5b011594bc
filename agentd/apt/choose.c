/* Which version of what is asked for, or why none; the reason is told as far as this user may know it. */
#include "agentd/apt/planner_internal.h"

#include <string.h>

#include "runtime/proviso.h"

/* Why there is no candidate, as far as this user may know: a source that cannot satisfy a named package is silent. */
static int no_candidate(struct resolver *v, const struct pv_wanted *p, const struct pv_facts *installed)
{
    struct candidate any = {.source = 0};
    struct wish wish = {.name = pv_slice_of(p->name), .arch = pv_slice_of(p->arch)};
    int found = pv_planner_candidate(v, &wish, &any);
    if (found < 0)
        return -1;
    if (!found && !installed->installed)
        return pv_planner_fail(v->failure, PV_PLANNER_NO_PACKAGE, p->name,
                               "No package of the name %s%s%s is in a permitted source.", p->name, *p->arch ? ":" : "",
                               p->arch);
    return pv_planner_fail(v->failure, PV_PLANNER_NO_VERSION, p->name, "No permitted source has version %s of %s.",
                           p->version, p->name);
}

int pv_planner_choose_install(struct resolver *v, size_t i)
{
    const struct pv_wanted *p = &v->request->packages[i];
    struct pv_facts here;
    struct candidate best = {.source = 0};
    struct wish wish = {.name = pv_slice_of(p->name), .arch = pv_slice_of(p->arch), .version = pv_slice_of(p->version)};
    bool present = pv_planner_installed(v, wish.name, wish.arch, &here) && here.installed;
    bool upgrade = v->request->verb == PV_VERB_UPGRADE, again = v->request->verb == PV_VERB_REINSTALL;
    if (!present)
        here.installed = false;
    if (!present && (upgrade || again)) {
        wish.version = pv_slice_of("");
        int found = pv_planner_candidate(v, &wish, &best);
        if (found < 0)
            return -1;
        return found ? pv_planner_fail(v->failure, PV_PLANNER_NOT_INSTALLED, p->name, "%s is not installed.", p->name)
                     : no_candidate(v, p, &here);
    }
    if (present && again)
        wish.version = here.version;
    else if (present && !*p->version)
        wish.above = here.version;
    int found = pv_planner_candidate(v, &wish, &best);
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
        return pv_planner_fail(v->failure, PV_PLANNER_HELD, p->name, "%s is on hold at version %.*s.", p->name,
                               (int)here.version.len, here.version.at);
    return 0;
}

int pv_planner_choose_removal(struct resolver *v, size_t i)
{
    const struct pv_wanted *p = &v->request->packages[i];
    struct pv_facts here;
    size_t n;
    bool known = pv_catalog_find(&v->catalog, pv_slice_of(p->name), &n) != NULL;
    bool present = pv_planner_installed(v, pv_slice_of(p->name), pv_slice_of(p->arch), &here) && here.installed;
    if (!present && !*p->arch) { /* one of another architecture, if it is the only one */
        size_t installed = 0;
        const struct pv_entry *entry = pv_catalog_find(&v->catalog, pv_slice_of(p->name), &n);
        for (size_t j = 0; j < n; j++) {
            struct pv_facts one;
            if (entry[j].source == PV_CATALOG_STATUS && pv_facts_read(&entry[j], &one) && one.installed)
                here = one, installed++;
        }
        if (installed > 1)
            return pv_planner_fail(v->failure, PV_PLANNER_AMBIGUOUS, p->name,
                                   "%s is installed for several architectures; name one.", p->name);
        present = installed == 1;
    }
    if (!present)
        return known ? pv_planner_fail(v->failure, PV_PLANNER_NOT_INSTALLED, p->name, "%s is not installed.", p->name)
                     : pv_planner_fail(v->failure, PV_PLANNER_NO_PACKAGE, p->name,
                                       "No package of the name %s is installed.", p->name);
    if (*p->version && !pv_slice_is(here.version, p->version))
        return pv_planner_fail(v->failure, PV_PLANNER_NO_VERSION, p->name, "Version %s of %s is not the one installed.",
                               p->version, p->name);
    if (here.held)
        return pv_planner_fail(v->failure, PV_PLANNER_HELD, p->name, "%s is on hold.", p->name);
    v->chosen[i].name = here.name, v->chosen[i].arch = here.arch, v->chosen[i].version = here.version;
    return 0;
}
