/* Facts without a plan: what is installed, and what the indexes offer. */
#include "agentd/apt/planner_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/text.h"

static int give_state(struct resolver *v, struct pv_slice name, struct pv_slice arch, pv_state_sink *give,
                      void *context)
{
    struct texts t;
    char summary_text[4 * 200 + 8] = "";
    struct pv_facts here;
    struct candidate best = {.source = 0};
    bool known = pv_planner_installed(v, name, arch, &here);
    struct wish wish = {.name = name, .arch = arch};
    if (known && here.installed)
        wish.above = here.version;
    int found = 0;
    if (v->request->kind == PV_PLANNER_NAMES) {
        found = pv_planner_candidate(v, &wish, &best);
        if (found == 0 && wish.above.len) { /* nothing newer: the best of what there is */
            wish.above = pv_slice_of("");
            found = pv_planner_candidate(v, &wish, &best);
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
        .name = pv_planner_copy(t.name, sizeof t.name, name),
        .arch = pv_planner_copy(t.arch, sizeof t.arch, known && here.arch.len ? here.arch : facts->arch),
        .installed = here.installed,
        .broken = here.broken,
        .config_files = here.config_files,
        .held = here.held,
        .essential = here.essential || (found && best.facts.essential),
        .automatic = here.installed && pv_planner_automatic(v, name, here.arch),
        .available = found,
        .installed_version =
            pv_planner_copy(t.old, sizeof t.old, here.installed || here.broken ? here.version : pv_slice_of("")),
        .section = pv_planner_copy(t.section, sizeof t.section, facts->section),
        .candidate_version = pv_planner_copy(t.new, sizeof t.new, found ? best.facts.version : pv_slice_of("")),
        .candidate_source = found ? v->request->sources[best.source].name : "",
        .download_size = found ? best.facts.size : 0,
        .summary = summary_text,
    };
    if (give(context, &state))
        return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "The answer could not be given.");
    return 0;
}

int pv_plan_states(const struct pv_plan_request *q, pv_state_sink *give, void *context, struct pv_plan_failure *f)
{
    struct resolver *v = calloc(1, sizeof *v);
    int result = -1;
    size_t given = 0;
    memset(f, 0, sizeof *f);
    if (!v)
        return pv_planner_fail(f, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    v->request = q;
    v->failure = f;
    v->pins = -1;
    if (pv_planner_native(v) || pv_planner_load_status(v))
        goto out;
    if (q->kind == PV_PLANNER_NAMES && pv_planner_load_indexes(v))
        goto out;
    result = 0;
    for (size_t i = 0; !result && i < q->n_packages; i++)
        result = give_state(v, pv_slice_of(q->packages[i].name), pv_slice_of(q->packages[i].arch), give, context);
    if (q->n_packages || q->kind != PV_PLANNER_STATE)
        goto out;
    for (size_t i = 0; !result && i < v->catalog.n_entries; i++) { /* everything that is there in any way */
        struct pv_facts facts;
        if (!pv_facts_read(&v->catalog.entries[i], &facts) || !(facts.installed || facts.broken || facts.config_files))
            continue;
        if (++given > PV_PLAN_STATES_MAX)
            result =
                pv_planner_fail(f, PV_PLANNER_INTERNAL, "", "More than %d packages are installed.", PV_PLAN_STATES_MAX);
        else
            result =
                give_state(v, facts.name, pv_slice_is(facts.arch, "all") ? pv_slice_of("") : facts.arch, give, context);
    }
out:
    pv_planner_clear(v);
    return result;
}
