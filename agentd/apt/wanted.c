/*
 * Who wanted what: for each package asked for, which operations of the plan it brought about.
 *
 * From what arrives the search follows Pre-Depends, Depends and Recommends that nothing installed satisfies, and the
 * Conflicts and Breaks that hit what is installed; from what goes, what depended on it. It errs on the side of fewer: a
 * dependency that was satisfied before is nobody's, since a policy may allow what a named package pulls in.
 */
#include "agentd/apt/planner_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (!pv_planner_installed(v, relation->name, pv_slice_of(""), &here) || !here.installed ||
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
int pv_planner_reach(struct resolver *v, const struct steps *steps, uint8_t *matrix, const size_t *roots,
                     size_t n_roots)
{
    size_t *queue = calloc(steps->n + 1, sizeof *queue);
    if (!queue)
        return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
    int result = 0;
    for (size_t k = 0; !result && k < n_roots; k++) {
        struct reach r = {.steps = steps, .seen = matrix + k * steps->n, .queue = queue};
        reach(&r, roots[k]);
        for (size_t i = 0; i < r.n_queue; i++)
            if (!follow(v, &r, r.queue[i])) {
                const struct pv_facts *facts = &steps->all[r.queue[i]].facts;
                char name[PV_APT_NAME_MAX + 1];
                snprintf(name, sizeof name, "%.*s", (int)facts->name.len, facts->name.at);
                result = pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, name,
                                         "The dependencies of %s are malformed.", name);
                break;
            }
    }
    free(queue);
    return result;
}
