/*
 * What happened outside the agent, held against ownership: before it counts in a decision, the planner reads dpkg's log
 * from where it was read last (agentd/apt/log.h), and whoever owns what was removed since owns it no more, also if
 * somebody has installed it again. Where the log cannot tell what happened, every ownership ends: it is a permission to
 * remove, and doubt permits nothing.
 *
 * The agent's own removals are in the log too. They do no harm: their ownership has ended on record before (by the
 * request that removed), and a package is granted to somebody only by a request that found it absent and read the log
 * after that, so that the log holds no older removal of it behind the mark. For the same reason nothing reads while a
 * transaction's dpkg runs, except for that transaction.
 *
 * Invariants: one reading at a time; a request that waits is served by a reading that began after it came; the mark is
 * written to the state directory only when each end that was found before it is durable in the ledger, so that a crash
 * leads to reading again and never to missing something.
 */
#include "agentd/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agentd/apt/log.h"

enum {
    FIRST_MS = 1000,       /* after the start: what is unfinished is taken up before */
    BUSY_MS = 60 * 1000,   /* a transaction is in progress */
    IDLE_MS = 3600 * 1000, /* logs are rotated daily at most: none is missed */
    OWNED_MAX = 100000,    /* rows of ownership that are looked at */
};

#define MARK_FILE "dpkg-log.mark"

static const char magic[8] = "pvMark1";

struct removal {
    char *name, *arch;
    char moment[PV_LOG_MOMENT];
};

struct end {
    char *name, *arch, *user;
    uint32_t uid;
    const struct removal *removal; /* NULL: for want of a log */
};

/* What dpkg's log looked like when a reading began: while it looks the same, there is nothing to read. */
struct look {
    bool there;
    struct stat st;
};

struct owners {
    struct monitor *m;
    struct pv_timer timer;
    struct helper planner;
    bool busy;
    struct look look, next_look;
    struct pv_log_mark mark, next, written;
    struct removal *removals;
    size_t n_removals, cap_removals;
    bool complete;
    char why[256];
    struct end *ends;
    size_t n_ends, cap_ends;
    bool too_many;
    unsigned undurable; /* ends on their way into the ledger */
    bool lost;          /* one of them never got there: the mark stays where it is */
};

static void begin(struct owners *o);

/* ---- The mark ---- */

static void read_mark(struct owners *o)
{
    void *data;
    size_t len;
    struct pv_rbuf r;
    char head[sizeof magic];
    int result = pv_file_read(o->m->state_dir, MARK_FILE, sizeof magic + PV_LOG_MARK_MAX, &data, &len);
    if (result) {
        if (result != -ENOENT)
            pv_mon_log("%s/" MARK_FILE ": %s", o->m->options.state, strerror(-result));
        return;
    }
    pv_rbuf_init(&r, data, len);
    pv_get_raw(&r, head, sizeof head);
    if (!pv_log_mark_decode(&r, &o->mark) || !pv_rbuf_done(&r) || memcmp(head, magic, sizeof magic) != 0) {
        pv_mon_log("%s/" MARK_FILE " is damaged: what happened since dpkg's log was read last is not known",
                   o->m->options.state);
        o->mark = (struct pv_log_mark){0};
    }
    o->written = o->mark;
    free(data);
}

static void write_mark(struct owners *o)
{
    uint8_t bytes[sizeof magic + PV_LOG_MARK_MAX];
    struct pv_wbuf w;
    if (o->undurable || o->lost || pv_log_mark_same(&o->mark, &o->written))
        return;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_put_raw(&w, magic, sizeof magic);
    pv_log_mark_encode(&w, &o->mark);
    int result = w.overflow ? -EOVERFLOW : pv_file_write(o->m->state_dir, MARK_FILE, 0600, bytes, w.len);
    if (result)
        pv_mon_log("%s/" MARK_FILE " cannot be written: %s", o->m->options.state, strerror(-result));
    else
        o->written = o->mark;
}

/* ---- Whether there is anything new ---- */

static bool take_look(const struct owners *o, struct look *look)
{
    char path[4200];
    const char *root = o->m->options.root;
    *look = (struct look){0};
    snprintf(path, sizeof path, "%s/var/log/dpkg.log", strcmp(root, "/") ? root : "");
    look->there = lstat(path, &look->st) == 0;
    return look->there;
}

static bool is_new(const struct owners *o)
{
    struct look now;
    const struct stat *a = &now.st, *b = &o->look.st;
    return !take_look(o, &now) || !o->look.there || !o->mark.known || a->st_dev != b->st_dev ||
           a->st_ino != b->st_ino || a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
           a->st_mtim.tv_nsec != b->st_mtim.tv_nsec || a->st_ctim.tv_sec != b->st_ctim.tv_sec ||
           a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
}

/* ---- The end of a reading ---- */

static void clear(struct owners *o)
{
    for (size_t i = 0; i < o->n_removals; i++) {
        free(o->removals[i].name);
        free(o->removals[i].arch);
    }
    for (size_t i = 0; i < o->n_ends; i++) {
        free(o->ends[i].name);
        free(o->ends[i].arch);
        free(o->ends[i].user);
    }
    o->n_removals = o->n_ends = 0;
    o->too_many = false;
}

/* Those who waited go on. `known`: ownership is what the ledger says; else nobody owns anything as far as they are
 * concerned. */
static void serve(struct owners *o, bool known)
{
    struct monitor *m = o->m;
    clear(o);
    for (;;) {
        struct request *r = m->requests;
        while (r && r->log_wait != LOG_WAITS)
            r = r->next;
        if (!r)
            break;
        r->log_wait = LOG_READ;
        r->owners_unknown = !known;
        r->log_known(r);
    }
    o->busy = false; /* who came meanwhile waits for the next */
    for (struct request *r = m->requests; r; r = r->next)
        if (r->log_wait == LOG_WAITS_NEXT) {
            begin(o);
            return;
        }
}

static void give_up(struct owners *o, const char *why)
{
    pv_mon_log("dpkg's log cannot be looked at (%s): nobody owns anything until it can", why);
    pv_mon_helper_stop(&o->planner);
    serve(o, false);
}

static void end_durable(void *context, bool durable)
{
    struct owners *o = context;
    o->undurable--;
    if (!durable) {
        o->lost = true;
        pv_mon_log("the end of an ownership could not be put on record");
    }
    write_mark(o);
}

static bool record_ends(struct owners *o)
{
    char reason[512];
    for (size_t i = 0; i < o->n_ends; i++) {
        const struct end *e = &o->ends[i];
        struct pv_record record = {.kind = PV_RECORD_OWN, .uid = e->uid};
        if (e->removal)
            snprintf(reason, sizeof reason, "removed outside the agent at %s (local time)", e->removal->moment);
        else
            snprintf(reason, sizeof reason, "what happened outside the agent is not known: %s", o->why);
        record.own.root = pv_str_of(o->m->options.root);
        record.own.package = pv_str_of(e->name);
        record.own.arch = pv_str_of(e->arch);
        record.own.user = pv_str_of(e->user);
        record.own.reason = pv_str_of(reason);
        if (pv_mon_record(o->m, &record, true, end_durable, o))
            return false;
        o->undurable++;
        pv_mon_log("%s owns %s:%s no longer: %s", e->user, e->name, e->arch, reason);
    }
    return true;
}

static void finish(struct owners *o)
{
    if (!record_ends(o)) {
        give_up(o, "the ledger takes no records");
        return;
    }
    o->mark = o->next;
    o->look = o->next_look;
    write_mark(o);
    serve(o, true);
}

/* ---- Who owned it? ---- */

static bool same_arch(const char *a, const char *b)
{
    return strcmp(a, b) == 0 || strcmp(a, "all") == 0 || strcmp(b, "all") == 0;
}

static const struct removal *removal_of(const struct owners *o, const char *name, const char *arch)
{
    for (size_t i = o->n_removals; i-- > 0;) /* the newest is the last */
        if (strcmp(o->removals[i].name, name) == 0 && same_arch(o->removals[i].arch, arch))
            return &o->removals[i];
    return NULL;
}

static bool note_end(struct owners *o, struct end e)
{
    if (o->n_ends == OWNED_MAX)
        return false;
    if (o->n_ends == o->cap_ends) {
        size_t cap = o->cap_ends ? o->cap_ends * 2 : 16;
        struct end *bigger = realloc(o->ends, cap * sizeof *bigger);
        if (!bigger)
            return false;
        o->ends = bigger;
        o->cap_ends = cap;
    }
    e.name = strdup(e.name);
    e.arch = strdup(e.arch);
    e.user = strdup(e.user);
    o->ends[o->n_ends++] = e;
    return e.name && e.arch && e.user;
}

static void owned_row(void *context, uint32_t type, struct pv_rbuf *r)
{
    struct owners *o = context;
    char name[PV_LEDGER_NAME_MAX + 1], arch[PV_LEDGER_NAME_MAX + 1], user[PV_LEDGER_NAME_MAX + 1];
    if (!r) {
        give_up(o, "the ledger does not answer");
        return;
    }
    if (type == PV_MSG_LEDGER_ROWS_END) {
        if (o->too_many)
            give_up(o, "there is no memory for what it tells");
        else
            finish(o);
        return;
    }
    pv_get_str_copy(r, name, sizeof name);
    pv_get_str_copy(r, arch, sizeof arch);
    uint32_t uid = pv_get_u32(r);
    pv_get_str_copy(r, user, sizeof user);
    pv_get_u64(r);
    if (!pv_rbuf_done(r))
        o->too_many = true;
    if (o->too_many)
        return;
    const struct removal *removal = removal_of(o, name, arch);
    if ((removal || !o->complete) &&
        !note_end(o, (struct end){.name = name, .arch = arch, .user = user, .uid = uid, .removal = removal}))
        o->too_many = true;
}

static void ask_owned(struct owners *o)
{
    static uint8_t payload[8192];
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, o->m->options.root);
    if (pv_mon_ask(o->m, PV_MSG_LEDGER_OWNED, &w, owned_row, o))
        give_up(o, "the ledger does not answer");
}

/* ---- Reading ---- */

static bool note_removal(struct owners *o, struct pv_rbuf *r)
{
    char name[PV_APT_NAME_MAX + 1], arch[PV_APT_ARCH_MAX + 1];
    struct removal removal = {0};
    pv_get_str_copy(r, name, sizeof name);
    pv_get_str_copy(r, arch, sizeof arch);
    pv_get_str_copy(r, removal.moment, sizeof removal.moment);
    if (!pv_rbuf_done(r) || o->n_removals == PV_LOG_REMOVED_MAX)
        return false;
    if (o->n_removals == o->cap_removals) {
        size_t cap = o->cap_removals ? o->cap_removals * 2 : 64;
        struct removal *bigger = realloc(o->removals, cap * sizeof *bigger);
        if (!bigger)
            return false;
        o->removals = bigger;
        o->cap_removals = cap;
    }
    removal.name = strdup(name);
    removal.arch = strdup(arch);
    o->removals[o->n_removals++] = removal;
    return removal.name && removal.arch;
}

static void planner_frame(void *context, uint32_t type, const uint8_t *payload, size_t len)
{
    struct owners *o = context;
    char why[512];
    struct pv_rbuf r;
    pv_rbuf_init(&r, payload, len);
    if (type == PV_MSG_LOG_REMOVED) {
        if (!note_removal(o, &r))
            give_up(o, "an answer that is malformed, or too long");
        return;
    }
    bool complete = pv_get_bool(&r);
    pv_get_str_copy(&r, why, sizeof why);
    if (type != PV_MSG_LOG_END || !pv_log_mark_decode(&r, &o->next) || !pv_rbuf_done(&r)) {
        give_up(o, "a malformed answer");
        return;
    }
    pv_escape(o->why, sizeof o->why, why, strlen(why));
    o->complete = complete;
    pv_mon_helper_stop(&o->planner);
    if (complete && !o->n_removals)
        finish(o);
    else
        ask_owned(o);
}

static void planner_gone(void *context, const char *why)
{
    give_up(context, why);
}

static void begin(struct owners *o)
{
    uint8_t payload[PV_PLAN_PATH_MAX + PV_LOG_MARK_MAX + 64];
    struct pv_wbuf w;
    o->busy = true;
    for (struct request *r = o->m->requests; r; r = r->next)
        if (r->log_wait == LOG_WAITS_NEXT)
            r->log_wait = LOG_WAITS;
    take_look(o, &o->next_look);
    o->planner.gone = planner_gone;
    o->planner.context = o;
    o->planner.channel.frame = planner_frame;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, o->m->options.root);
    pv_log_mark_encode(&w, &o->mark);
    if (pv_mon_helper_start(&o->planner, o->m, &o->m->options.planner, "proviso-planner", NULL, -1, sizeof payload,
                            PV_MON_PLANNER_DEADLINE_MS) ||
        pv_mon_channel_send(&o->planner.channel, PV_MSG_LOG_REQUEST, &w, NULL, 0))
        give_up(o, "the planner cannot be asked");
}

/* Whether a transaction other than r's has dpkg at work, or its state is still to be compared. */
static bool dpkg_is_ours(const struct monitor *m, const struct request *r)
{
    const struct request *t = m->transaction;
    return t && t != r && t->state >= RS_FETCH;
}

void pv_mon_owners_reconcile(struct request *r, void (*next)(struct request *r))
{
    struct owners *o = r->m->owners;
    r->owners_unknown = false;
    if (dpkg_is_ours(r->m, r) || (!o->busy && !is_new(o))) {
        next(r);
        return;
    }
    r->log_wait = LOG_WAITS_NEXT;
    r->log_known = next;
    if (!o->busy)
        begin(o);
}

/* Without requests too: a log is read before it is rotated away. */
static void on_timer(void *context)
{
    struct owners *o = context;
    bool idle = !o->m->transaction && !o->busy && pv_mon_ledger_ready(o->m);
    pv_loop_timer(&o->m->loop, &o->timer, idle ? IDLE_MS : BUSY_MS);
    if (idle && is_new(o))
        begin(o);
}

int pv_mon_owners_start(struct monitor *m)
{
    struct owners *o = calloc(1, sizeof *o);
    if (!o)
        return -1;
    m->owners = o;
    o->m = m;
    o->timer = (struct pv_timer){.fire = on_timer, .context = o};
    read_mark(o);
    pv_loop_timer(&m->loop, &o->timer, FIRST_MS);
    return 0;
}

void pv_mon_owners_stop(struct monitor *m)
{
    struct owners *o = m->owners;
    if (!o)
        return;
    pv_loop_untimer(&m->loop, &o->timer);
    pv_mon_helper_stop(&o->planner);
    clear(o);
    free(o->removals);
    free(o->ends);
    free(o);
    m->owners = NULL;
}
