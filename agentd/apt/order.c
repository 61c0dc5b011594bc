/*
 * The order of the sources, as apt's preferences.
 *
 * apt can pin a package to a version, an origin or what a Release file claims; only a version identifies a source here,
 * where each index belongs to one. So each package of which several sources have versions, and where the order decides,
 * gets a pin on that version: few, even between Debian and its security archive. The preferences are a memory file,
 * since the planner can write nowhere.
 */
#include "agentd/apt/planner_internal.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agentd/apt/text.h"
#include "runtime/proviso.h"

/* Adds the pin of one package, when its best version by the sources' order is not the one that apt would take. */
static void add_pin(struct resolver *v, const struct pv_entry *group, size_t n, struct pv_text *pins)
{
    struct candidate best = {.source = 0};
    struct pv_facts here;
    bool several = false;
    for (size_t i = 0; i < n; i++)
        several |= group[i].source != PV_CATALOG_STATUS && group[i].source != group[n - 1].source;
    if (!several)
        return;
    struct wish wish = {.name = group[0].name, .dependency = true};
    if (pv_planner_installed(v, wish.name, wish.arch, &here) && here.installed)
        wish.above = here.version;
    /* A damaged entry harms who asks for it, and who asks for what depends on it; not everybody. */
    if (pv_planner_candidate(v, &wish, &best) != 1)
        return;
    for (size_t i = 0; i < n; i++) {
        struct pv_facts other;
        if (group[i].source == PV_CATALOG_STATUS || !pv_facts_read(&group[i], &other) ||
            !pv_planner_arch_fits(v, other.arch, wish.arch) ||
            pv_version_compare(PV_ORDER_DPKG, other.version.at, other.version.len, best.facts.version.at,
                               best.facts.version.len) <= 0)
            continue;
        /* 990: above the default and below 1000, from which on apt would downgrade for it. */
        pv_text_printf(pins, "Package: %.*s\nPin: version %.*s\nPin-Priority: 990\n\n", (int)best.facts.name.len,
                       best.facts.name.at, (int)best.facts.version.len, best.facts.version.at);
        break;
    }
}

int pv_planner_pins(struct resolver *v)
{
    const struct pv_plan_request *q = v->request;
    struct pv_text pins = {0};
    bool ordered = false;
    size_t n;
    for (size_t i = 1; i < q->n_sources; i++)
        ordered |= q->sources[i].priority != q->sources[0].priority;
    if (!ordered)
        return 0;
    pv_catalog_find(&v->catalog, pv_slice_of(""), &n); /* sorts */
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
            result = pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "",
                                     "The order of the sources cannot be given to apt-get.");
    }
    free(pins.data);
    return result;
}

void pv_planner_drop_pins(struct resolver *v)
{
    if (v->pins >= 0)
        close(v->pins);
    v->pins = -1;
}
