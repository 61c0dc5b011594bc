/* Reading the planner's request, and telling why there is no answer; see resolve.h. */
#include "agentd/apt/planner_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/text.h"
#include "agentd/wire.h"

int pv_planner_fail(struct pv_plan_failure *f, enum pv_planner_error code, const char *subject, const char *format, ...)
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
void pv_planner_detail(struct pv_plan_failure *f, const char *text, size_t len)
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

const char *pv_planner_copy(char *dst, size_t size, struct pv_slice s)
{
    snprintf(dst, size, "%.*s", (int)s.len, s.len ? s.at : "");
    return dst;
}

static void get_field(struct pv_rbuf *r, char *dst, size_t size)
{
    pv_get_str_copy(r, dst, size);
}

static int check_package(const struct pv_wanted *p, struct pv_plan_failure *f)
{
    if (!pv_apt_name_valid(p->name, strlen(p->name)))
        return pv_planner_fail(f, PV_PLANNER_BAD_NAME, "", "That is not the name of a package.");
    if (*p->arch && !pv_apt_arch_valid(p->arch, strlen(p->arch)))
        return pv_planner_fail(f, PV_PLANNER_BAD_NAME, p->name, "The architecture given for %s is not one.", p->name);
    if (*p->version && !pv_apt_version_valid(p->version, strlen(p->version)))
        return pv_planner_fail(f, PV_PLANNER_BAD_NAME, p->name, "The version given for %s is not an exact version.",
                               p->name);
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
        return pv_planner_fail(f, PV_PLANNER_INTERNAL, "", "The planner got a malformed request.");
    for (size_t i = 0; i < q->n_sources; i++)
        if (!pv_apt_source_valid(q->sources[i].name, strlen(q->sources[i].name)))
            return pv_planner_fail(f, PV_PLANNER_INTERNAL, "", "The planner got a malformed request.");
    if (bad)
        return pv_planner_fail(f, PV_PLANNER_BAD_NAME, "", "That is not the name of a package, or not a version.");
    for (size_t i = 0; i < q->n_packages; i++) {
        if (check_package(&q->packages[i], f))
            return -1;
        for (size_t j = 0; j < i; j++)
            if (strcmp(q->packages[i].name, q->packages[j].name) == 0 &&
                strcmp(q->packages[i].arch, q->packages[j].arch) == 0)
                return pv_planner_fail(f, PV_PLANNER_BAD_NAME, q->packages[i].name, "%s is named twice.",
                                       q->packages[i].name);
    }
    return 0;
}
