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
#include "agentd/apt/planner_internal.h"

#include <stdlib.h>
#include <string.h>

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
        .name = pv_planner_copy(t.name, sizeof t.name, s->facts.name),
        .arch = pv_planner_copy(t.arch, sizeof t.arch, s->facts.arch),
        .old_version = pv_planner_copy(t.old, sizeof t.old, s->here.installed ? s->here.version : pv_slice_of("")),
        .new_version = pv_planner_copy(t.new, sizeof t.new, removal ? pv_slice_of("") : s->facts.version),
        .source = removal ? "" : v->request->sources[s->source].name,
        .section = pv_planner_copy(t.section, sizeof t.section, s->facts.section),
        .filename = pv_planner_copy(t.filename, sizeof t.filename, removal ? pv_slice_of("") : s->facts.filename),
        .download_size = removal ? 0 : s->facts.size,
        .wanted_by = asked ? NULL : wanted,
        .n_wanted_by = asked ? 0 : n_wanted,
    };
    if (!removal)
        memcpy(op.sha256, s->facts.sha256, sizeof op.sha256);
    op.automatic = s->here.installed && pv_planner_automatic(v, s->here.name, s->here.arch);
    if (op.held && s->here.installed)
        return pv_planner_fail(v->failure, PV_PLANNER_HELD, t.name, "%s is on hold, and the request would change it.",
                               t.name);
    switch (pv_plan_add(plan, &op)) {
    case 0: return 0;
    case PV_E_PLAN_NOMEM: return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    default:
        return pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, t.name, "The facts about %s contradict each other.",
                               t.name);
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
        pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
        goto out;
    }
    if (pv_planner_reach(v, steps, matrix, roots, n_roots))
        goto out;
    for (size_t i = 0; i < steps->n; i++) {
        size_t n = 0;
        for (size_t k = 0; k < n_roots; k++)
            if (matrix[k * steps->n + i] && roots[k] != i) {
                wanted[n] = pv_planner_copy(names[n], sizeof names[n], steps->all[roots[k]].facts.name);
                n++;
            }
        if (add_operation(v, &steps->all[i], wanted, n, plan))
            goto out;
    }
    result = pv_plan_sort(plan);
    if (result)
        result = pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get's plan touches one package twice.");
out:
    free(roots);
    free(wanted);
    free(names);
    free(matrix);
    return result;
}

int pv_plan_resolve(const struct pv_plan_request *q, struct pv_plan *plan, struct pv_plan_failure *f)
{
    struct steps steps = {0};
    struct resolver *v = calloc(1, sizeof *v);
    int result = -1;
    memset(f, 0, sizeof *f);
    pv_plan_clear(plan);
    if (!v)
        return pv_planner_fail(f, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    v->request = q;
    v->failure = f;
    v->pins = -1;
    bool removal = q->verb == PV_VERB_UNINSTALL, everything = q->verb == PV_VERB_UPGRADE && q->n_packages == 0;
    if (q->n_packages == 0 && !everything) {
        pv_planner_fail(f, PV_PLANNER_BAD_NAME, "", "No package is named.");
        goto out;
    }
    if (pv_planner_native(v) || pv_planner_load_status(v) || ((!removal || q->n_sources) && pv_planner_load_indexes(v)))
        goto out;
    bool idle = !everything;
    for (size_t i = 0; i < q->n_packages; i++) {
        if (removal ? pv_planner_choose_removal(v, i) : pv_planner_choose_install(v, i))
            goto out;
        idle = idle && v->chosen[i].skip;
    }
    result = 0;
    if (idle)
        goto out; /* everything is as it was asked to be */
    result = pv_planner_pins(v) || pv_planner_solve(v, &steps) ? -1 : 0;
    if (!result)
        result = make_plan(v, &steps, plan);
out:
    if (result)
        pv_plan_clear(plan);
    free(steps.all);
    pv_planner_clear(v);
    return result;
}
