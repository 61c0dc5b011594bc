/* apt's turn: asking it for a plan, for its explanation when there is none, and reading the plan. */
#include "agentd/apt/planner_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/simulate.h"
#include "agentd/apt/text.h"
#include "runtime/proviso.h"

enum { SIMULATION_SECONDS = 120 };

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
        pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "The planner is out of memory.");
        return -1;
    }
    const char *at = w.text.data;
    for (size_t i = 0; i < w.n; i++, at += strlen(at) + 1)
        argv[i] = at;
    int result = pv_planner_run(v, argv, SIMULATION_SECONDS, out);
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
    pv_planner_detail(f, text.failed ? "" : text.data, text.failed ? 0 : text.len);
    free(text.data);
}

/* Asks apt once more, for its explanation. */
static int unresolved(struct resolver *v)
{
    struct pv_spawned out = {0};
    if (simulate(v, "--quiet", &out))
        return -1;
    const char *subject = v->request->n_packages == 1 ? v->request->packages[0].name : "";
    if (strstr(out.err, "dpkg was interrupted"))
        pv_planner_fail(v->failure, PV_PLANNER_DIRTY, "",
                        "dpkg was interrupted; an administrator has to run: dpkg --configure -a");
    else if (strstr(out.out, "unmet dependencies") || strstr(out.err, "held broken packages") ||
             strstr(out.err, "Unmet dependencies"))
        pv_planner_fail(v->failure, PV_PLANNER_UNMET, subject,
                        "What %s needs cannot be satisfied from the permitted sources.",
                        *subject ? subject : "the request");
    else
        pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, subject, "apt-get cannot plan this.");
    explain(v->failure, &out);
    pv_spawned_free(&out);
    return -1;
}

static bool requested(const struct resolver *v, struct pv_slice name)
{
    for (size_t i = 0; i < v->request->n_packages; i++)
        if (pv_slice_is(name, v->request->packages[i].name))
            return true;
    return false;
}

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
    pv_planner_fail(v->failure, PV_PLANNER_UNEXPECTED, "", "apt-get's plan holds a line that %s.", why);
    pv_planner_detail(v->failure, raw.at, raw.len);
    return -1;
}

static int read_removal(struct resolver *v, const struct pv_sim_line *line, struct pv_slice raw, struct step *step)
{
    if (!pv_planner_installed(v, line->name, line->name_arch, &step->here) ||
        !pv_slice_same(step->here.version, line->old))
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
        int found = pv_planner_candidate(v, &wish, &got);
        if (found < 0)
            return -1;
        if (!found)
            return unexpected_line(v, raw, "takes what was asked for from a source that may not satisfy it");
    } else {
        int found = pv_planner_candidate(v, &wish, &got);
        if (found < 0)
            return -1;
        if (!found)
            return unexpected_line(v, raw, "brings what no permitted index has");
    }
    if (!pv_slice_same(got.facts.arch, line->arch))
        return unexpected_line(v, raw, "names another architecture than the index");
    bool present = pv_planner_installed(v, line->name, line->name_arch, &step->here) && step->here.installed;
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
            return pv_planner_fail(v->failure, PV_PLANNER_INTERNAL, "", "The plan has more than %d operations.",
                                   PV_PLAN_OPS_MAX);
        bool removal = line.kind != PV_SIM_INST;
        if (removal ? read_removal(v, &line, raw, step) : read_arrival(v, &line, raw, step))
            return -1;
        step->asked = requested(v, line.name);
        step->root = everything ? step->here.installed && !removal : step->asked;
    }
    return more < 0 ? unexpected_line(v, raw, "does not have the expected form") : 0;
}

/* The order of the sources is a preference: where dependencies cannot be met with it, they are met without. */
int pv_planner_solve(struct resolver *v, struct steps *steps)
{
    struct pv_spawned out = {0};
    if (simulate(v, "-qq", &out))
        return -1;
    if (out.status && v->pins >= 0) {
        pv_spawned_free(&out);
        pv_planner_drop_pins(v);
        if (simulate(v, "-qq", &out))
            return -1;
    }
    int result = out.status ? unresolved(v) : read_steps(v, &out, steps);
    pv_spawned_free(&out); /* the steps point into the catalog only */
    return result;
}
