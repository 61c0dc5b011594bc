/*
 * The monitor's side of the ledger: it assigns sequence, time and chain hash, keeps the head where only root writes,
 * and knows of each record whether it is durable.
 *
 * States: CLOSED (no process; a timer starts one) -> OPENING (it was asked to open) -> OPEN. Whatever goes wrong leads
 * back to CLOSED or OPENING. What was sent and not acknowledged is settled when the ledger opens again: records up to
 * the sequence that it tells, with the hash that it tells, are durable after all; of the rest, what tells of things
 * that have happened (`must`) is appended again, and what waited for a decision is given up, so that the decision
 * denies.
 *
 * Invariants: brokering is possible only in OPEN and while the database is not behind the head; the head never runs
 * ahead of an acknowledgement; done() is called exactly once for each record that was accepted, unless forgotten.
 */
#include "agentd/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pending {
    struct pending *next;
    uint64_t seq, time_ns;
    uint32_t kind;
    uint8_t hash[PV_CHAIN_HASH];
    bool must, sent;
    record_done *done;
    void *context;
    size_t len;
    uint8_t body[];
};

struct question {
    struct question *next;
    uint64_t tag;
    ledger_answer *answer;
    void *context;
};

enum ledger_state { LEDGER_CLOSED, LEDGER_OPENING, LEDGER_OPEN };

struct ledger {
    struct monitor *m;
    enum ledger_state state;
    struct helper helper;
    struct pv_timer retry;
    int64_t retry_ms;
    char directory[4096];
    int head_fd;
    struct pv_head head; /* the last record that was assigned a place */
    struct pv_head kept; /* what the head file says */
    bool behind; /* the database lacks what the head file has seen: nothing is brokered until an operator acts */
    bool was_open;
    uint64_t highest_ns;
    struct pending *pending, **last;
    size_t pending_bytes;
    struct question *questions;
    uint64_t last_tag;
};

static void start_process(void *context);

bool pv_mon_ledger_ready(const struct monitor *m)
{
    return m->ledger && m->ledger->state == LEDGER_OPEN && !m->ledger->behind;
}

int64_t pv_mon_ledger_time(const struct monitor *m)
{
    return (int64_t)(m->ledger->highest_ns / 1000000000u);
}

/* ---- The head file ---- */

static int open_head(struct ledger *l)
{
    char text[PV_HEAD_TEXT + 1];
    l->head_fd = openat(l->m->state_dir, PV_LEDGER_HEAD_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->head_fd < 0)
        return -errno;
    ssize_t n = pread(l->head_fd, text, sizeof text, 0);
    if (n == 0) /* a new agent */
        return 0;
    return n == PV_HEAD_TEXT && pv_head_parse(text, (size_t)n, &l->kept) == 0 ? 0 : -EINVAL;
}

static void keep_head(struct ledger *l, const struct pv_head *head)
{
    char text[PV_HEAD_TEXT];
    pv_head_format(head, text);
    if (pwrite(l->head_fd, text, sizeof text, 0) != (ssize_t)sizeof text)
        pv_mon_log("%s/" PV_LEDGER_HEAD_FILE " cannot be written: %s", l->m->options.state, strerror(errno));
    l->kept = *head;
}

/* ---- Sending ---- */

/* False when the channel broke. */
static bool send_pending(struct ledger *l, struct pending *p)
{
    static uint8_t payload[PV_WIRE_MAX];
    struct pv_wbuf w;
    size_t part = p->len < PV_LEDGER_PART ? p->len : PV_LEDGER_PART;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_u64(&w, p->seq);
    pv_put_u64(&w, p->time_ns);
    pv_put_u32(&w, p->kind);
    pv_put_raw(&w, p->hash, sizeof p->hash);
    pv_put_u32(&w, (uint32_t)p->len);
    pv_put_bytes(&w, p->body, part);
    bool good = pv_mon_channel_send(&l->helper.channel, PV_MSG_LEDGER_APPEND, &w, NULL, 0) == 0;
    for (size_t at = part; good && at < p->len; at += part) {
        part = p->len - at < PV_LEDGER_PART ? p->len - at : PV_LEDGER_PART;
        pv_wbuf_init(&w, payload, sizeof payload);
        pv_put_u64(&w, p->seq);
        pv_put_u32(&w, (uint32_t)at);
        pv_put_bytes(&w, p->body + at, part);
        good = pv_mon_channel_send(&l->helper.channel, PV_MSG_LEDGER_MORE, &w, NULL, 0) == 0;
    }
    p->sent = good;
    return good;
}

/* Gives the record its place in the chain. */
static void place(struct ledger *l, struct pending *p)
{
    p->seq = l->head.seq + 1;
    pv_chain_hash(&l->head, p->time_ns, p->kind, p->body, p->len, p->hash);
    l->head.seq = p->seq;
    memcpy(l->head.hash, p->hash, sizeof p->hash);
}

static void push(struct ledger *l, struct pending *p)
{
    p->next = NULL;
    *l->last = p;
    l->last = &p->next;
    l->pending_bytes += p->len + sizeof *p;
}

static struct pending *pop(struct ledger *l)
{
    struct pending *p = l->pending;
    l->pending = p->next;
    if (!l->pending)
        l->last = &l->pending;
    l->pending_bytes -= p->len + sizeof *p;
    return p;
}

static void settle(struct pending *p, bool durable)
{
    if (p->done)
        p->done(p->context, durable);
    free(p);
}

/* ---- Going wrong ---- */

static void drop_questions(struct ledger *l)
{
    while (l->questions) {
        struct question *q = l->questions;
        l->questions = q->next;
        if (q->answer)
            q->answer(q->context, PV_MSG_NONE, NULL);
        free(q);
    }
}

static void closed(struct ledger *l, const char *why)
{
    if (l->state == LEDGER_CLOSED)
        return;
    l->state = LEDGER_CLOSED;
    pv_mon_helper_stop(&l->helper);
    pv_mon_log("the ledger is gone (%s): nothing is brokered until it is back", why);
    /* Decisions that wait are given up when it opens again, or now if nothing of theirs was sent. */
    drop_questions(l);
    pv_loop_timer(&l->m->loop, &l->retry, l->retry_ms);
    l->retry_ms = l->retry_ms < 15000 ? l->retry_ms * 2 : 30000;
}

static void gone(void *context, const char *why)
{
    closed(context, why);
}

static void send_open(struct ledger *l)
{
    uint8_t payload[8192];
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, l->m->options.root);
    l->state = LEDGER_OPENING;
    if (pv_mon_channel_send(&l->helper.channel, PV_MSG_LEDGER_OPEN, &w, NULL, 0))
        closed(l, "it cannot be asked");
}

/* ---- Answers ---- */

static void opened(struct ledger *l, struct pv_rbuf *r)
{
    struct monitor *m = l->m;
    struct pv_head database;
    database.seq = pv_get_u64(r);
    pv_get_raw(r, database.hash, sizeof database.hash);
    uint64_t highest_ns = pv_get_u64(r), highest_request = pv_get_u64(r);
    pv_get_u32(r); /* unfinished ones are asked for by recovery */
    if (!pv_rbuf_done(r) || l->state != LEDGER_OPENING) {
        closed(l, "a malformed answer");
        return;
    }
    if (database.seq < l->kept.seq ||
        (database.seq == l->kept.seq && memcmp(database.hash, l->kept.hash, sizeof database.hash) != 0)) {
        pv_mon_log("ALARM: the ledger in %s has %llu records, the head file has seen %llu: records are missing or were "
                   "replaced; nothing is brokered",
                   l->directory, (unsigned long long)database.seq, (unsigned long long)l->kept.seq);
        l->behind = true;
    }
    l->highest_ns = highest_ns;
    if (highest_request > m->last_request)
        m->last_request = highest_request;

    /* Settle what was sent before: all up to the database's last record are durable if that is the one we made. */
    struct pending *old = l->pending, *again = NULL, **again_last = &again;
    bool known = false;
    for (struct pending *p = old; p; p = p->next)
        if (p->sent && p->seq == database.seq && memcmp(p->hash, database.hash, sizeof p->hash) == 0)
            known = true;
    l->pending = NULL;
    l->last = &l->pending;
    l->pending_bytes = 0;
    l->head = database;
    l->state = LEDGER_OPEN;
    l->retry_ms = 250;
    if (!l->behind)
        keep_head(l, &database);
    while (old) {
        struct pending *p = old;
        old = p->next;
        if (known && p->sent && p->seq <= database.seq) {
            settle(p, true);
        } else if (p->must) {
            p->next = NULL;
            *again_last = p;
            again_last = &p->next;
        } else {
            settle(p, false);
        }
    }
    while (again) {
        struct pending *p = again;
        again = p->next;
        place(l, p);
        push(l, p);
        if (l->state == LEDGER_OPEN && !send_pending(l, p))
            closed(l, "it does not take records");
    }
    if (l->state == LEDGER_OPEN && !l->was_open) {
        l->was_open = true;
        pv_mon_ledger_opened(m);
    }
}

static void acknowledged(struct ledger *l, struct pv_rbuf *r)
{
    uint64_t seq = pv_get_u64(r);
    if (!pv_rbuf_done(r) || seq > l->head.seq) {
        closed(l, "a malformed acknowledgement");
        return;
    }
    while (l->pending && l->pending->sent && l->pending->seq <= seq) {
        struct pending *p = pop(l);
        if (p->time_ns > l->highest_ns)
            l->highest_ns = p->time_ns;
        if (p->seq == seq) {
            struct pv_head head = {.seq = seq};
            memcpy(head.hash, p->hash, sizeof head.hash);
            if (!l->behind)
                keep_head(l, &head);
        }
        settle(p, true);
    }
}

static void failed(struct ledger *l, struct pv_rbuf *r)
{
    char sentence[512], shown[1024];
    uint32_t code = pv_get_u32(r);
    uint64_t tag = pv_get_u64(r), seq = pv_get_u64(r);
    size_t len;
    const char *text = pv_get_str(r, PV_WIRE_MAX, &len);
    pv_escape(sentence, sizeof sentence, text ? text : "", text ? len : 0);
    snprintf(shown, sizeof shown, "error %u: %s", code, sentence);
    if (tag) {
        struct question **at = &l->questions;
        while (*at && (*at)->tag != tag)
            at = &(*at)->next;
        pv_mon_log("ledger: a question failed, %s", shown);
        if (*at) {
            struct question *q = *at;
            *at = q->next;
            if (q->answer)
                q->answer(q->context, PV_MSG_NONE, NULL);
            free(q);
        }
        return;
    }
    pv_mon_log("ledger: %s", shown);
    if (l->state != LEDGER_OPEN) {
        closed(l, "it cannot be opened");
        return;
    }
    /* A record that it refuses for what it holds would be refused again. */
    if (code == PV_LEDGER_E_RECORD && l->pending && l->pending->seq == seq)
        l->pending->must = false;
    if (code == PV_LEDGER_E_FULL || code == PV_LEDGER_E_IO) {
        closed(l, "it cannot write");
        return;
    }
    drop_questions(l);
    send_open(l);
}

static void answered(struct ledger *l, uint32_t type, struct pv_rbuf *r)
{
    uint64_t tag = pv_get_u64(r);
    struct question **at = &l->questions;
    while (*at && (*at)->tag != tag)
        at = &(*at)->next;
    struct question *q = *at;
    if (!q)
        return;
    bool row =
        type == PV_MSG_LEDGER_HISTORY_ROW || type == PV_MSG_LEDGER_UNFINISHED_ROW || type == PV_MSG_LEDGER_OWNED_ROW;
    if (!row)
        *at = q->next;
    if (q->answer)
        q->answer(q->context, type, r);
    if (!row)
        free(q);
}

static void frame(void *context, uint32_t type, const uint8_t *payload, size_t len)
{
    struct ledger *l = context;
    struct pv_rbuf r;
    pv_rbuf_init(&r, payload, len);
    switch (type) {
    case PV_MSG_LEDGER_OPENED: opened(l, &r); break;
    case PV_MSG_LEDGER_ACK: acknowledged(l, &r); break;
    case PV_MSG_LEDGER_ERROR: failed(l, &r); break;
    case PV_MSG_LEDGER_OWNERS_ARE:
    case PV_MSG_LEDGER_CHANGES_ARE:
    case PV_MSG_LEDGER_HISTORY_ROW:
    case PV_MSG_LEDGER_UNFINISHED_ROW:
    case PV_MSG_LEDGER_OWNED_ROW:
    case PV_MSG_LEDGER_ROWS_END: answered(l, type, &r); break;
    default: closed(l, "a frame of an unknown type"); break;
    }
}

/* ---- Interface ---- */

static void start_process(void *context)
{
    struct ledger *l = context;
    const char *arguments[] = {l->directory, NULL};
    l->helper.gone = gone;
    l->helper.context = l;
    l->helper.channel.frame = frame;
    int result = pv_mon_helper_start(&l->helper, l->m, &l->m->options.ledger, "proviso-ledger", arguments, -1,
                                     PV_MON_LEDGER_QUEUE, 0);
    l->state = LEDGER_OPENING;
    if (result)
        closed(l, strerror(-result));
    else
        send_open(l);
}

int pv_mon_ledger_start(struct monitor *m)
{
    const struct account *account = &m->options.ledger;
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return -1;
    l->m = m;
    l->last = &l->pending;
    l->retry_ms = 250;
    l->head_fd = -1;
    l->retry = (struct pv_timer){.fire = start_process, .context = l};
    m->ledger = l;
    int result = pv_dir_make(m->state_dir, PV_LEDGER_STATE_DIR, 0700, account->uid, account->gid);
    if (result) {
        pv_mon_log("%s/" PV_LEDGER_STATE_DIR ": %s", m->options.state, strerror(-result));
        return -1;
    }
    snprintf(l->directory, sizeof l->directory, "%s/" PV_LEDGER_STATE_DIR, m->options.state);
    result = open_head(l);
    if (result) {
        pv_mon_log("%s/" PV_LEDGER_HEAD_FILE " %s", m->options.state,
                   result == -EINVAL ? "is damaged: nothing tells any more where the ledger has to end"
                                     : strerror(-result));
        return -1;
    }
    l->head = l->kept;
    start_process(l);
    return 0;
}

void pv_mon_ledger_stop(struct monitor *m)
{
    struct ledger *l = m->ledger;
    if (!l)
        return;
    pv_loop_untimer(&m->loop, &l->retry);
    pv_mon_helper_release(&l->helper); /* what was sent is still written */
    while (l->pending)
        free(pop(l));
    while (l->questions) {
        struct question *q = l->questions;
        l->questions = q->next;
        free(q);
    }
    if (l->head_fd >= 0)
        close(l->head_fd);
    free(l);
    m->ledger = NULL;
}

int pv_mon_record(struct monitor *m, const struct pv_record *record, bool must, record_done *done, void *context)
{
    struct ledger *l = m->ledger;
    if (!l || (!must && !pv_mon_ledger_ready(m)))
        return -1;
    struct pending *p = NULL;
    struct pv_wbuf w;
    for (size_t size = 16384; size <= PV_RECORD_MAX; size *= 2) {
        struct pending *bigger = realloc(p, sizeof *p + size);
        if (!bigger)
            break;
        p = bigger;
        pv_wbuf_init(&w, p->body, size);
        pv_record_encode(&w, record);
        if (!w.overflow)
            break;
    }
    if (!p || w.overflow || l->pending_bytes + w.len > PV_MON_LEDGER_QUEUE) {
        pv_mon_log("a %s record cannot be written: %s", pv_record_kind_name(record->kind),
                   p && w.overflow ? "too long, or malformed" : "too many are waiting");
        free(p);
        return -1;
    }
    size_t len = w.len;
    struct pending *exact = realloc(p, sizeof *p + len);
    p = exact ? exact : p;
    *p = (struct pending){.time_ns = pv_now_ns(), .kind = record->kind, .must = must, .done = done, .context = context};
    p->len = len;
    if (l->state == LEDGER_OPEN)
        place(l, p);
    push(l, p);
    if (l->state == LEDGER_OPEN && !send_pending(l, p))
        closed(l, "it does not take records");
    return 0;
}

int pv_mon_ask(struct monitor *m, uint32_t type, const struct pv_wbuf *rest, ledger_answer *answer, void *context)
{
    static uint8_t payload[PV_WIRE_MAX];
    struct ledger *l = m->ledger;
    if (!pv_mon_ledger_ready(m))
        return -1;
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return -1;
    *q = (struct question){.next = l->questions, .tag = ++l->last_tag, .answer = answer, .context = context};
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_u64(&w, q->tag);
    if (rest)
        pv_put_raw(&w, rest->data, rest->len);
    if (w.overflow || (rest && rest->overflow)) {
        free(q);
        return -1;
    }
    if (pv_mon_channel_send(&l->helper.channel, type, &w, NULL, 0)) {
        free(q);
        closed(l, "it does not take questions");
        return -1;
    }
    l->questions = q;
    return 0;
}

void pv_mon_ledger_forget(struct monitor *m, const void *context)
{
    if (!m->ledger)
        return;
    for (struct pending *p = m->ledger->pending; p; p = p->next)
        if (p->context == context)
            p->done = NULL;
    for (struct question *q = m->ledger->questions; q; q = q->next)
        if (q->context == context)
            q->answer = NULL;
}
