/*
 * proviso-frontend: the loop between one client and the monitor; see frontend.h.
 *
 * Invariants: at most one request is in flight; a frame of the monitor's or a piece of output is only read when the
 * outbox has room for the longest message that it could become, so a slow client costs a fixed amount of memory and
 * loses nothing; the result of a request comes after the last byte of its output; whatever goes wrong, closing
 * descriptor 4 tells the monitor that the client is gone, which cancels what has not started and nothing else.
 */
#include "agentd/frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENT = 3,
    MONITOR = 4,
    ROOM = PV_MESSAGE_HEADER + PV_MESSAGE_MAX, /* of the longest message */
    OUTBOX = 2 * ROOM,
    /* Milliseconds. */
    LOOK_AGAIN_MIN = 20, /* between looks at files that grow */
    LOOK_AGAIN_MAX = 200,
    IDLE_TIME = 300000,    /* without a request in flight */
    ARRIVAL_TIME = 30000,  /* from the first to the last byte of a client's message */
    STALLED_TIME = 600000, /* a client that takes nothing of what waits for it */
    GOODBYE_TIME = 5000,   /* for the last message of a connection */
    HANDOVER_TIME = 5000,  /* until the monitor takes a frame */
};

/* What the client is waited for; each has its own patience. */
enum waiting { FOR_REQUEST, FOR_REST, FOR_RECEPTION, FOR_GOODBYE, FOR_NOTHING };

struct front {
    struct pv_inbox in;
    struct pv_outbox out;
    struct pv_front_stream stream;
    bool greeted;   /* the monitor's hello was passed on */
    bool busy;      /* a request is in flight */
    bool closing;   /* nothing more is read: what is in the outbox goes out, then the end */
    json_t *result; /* of a command whose output is not through yet */
    int look_again; /* milliseconds until the next look at the files */
    enum waiting waiting;
    int64_t since; /* when that began, or when the client last did some of it */
    uint8_t payload[PV_WIRE_MAX];
};

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool has_room(const struct front *front)
{
    return pv_outbox_room(&front->out) >= ROOM;
}

/* Takes the reference. A message that does not fit into one frame of the protocol ends the connection with an error
 * that does: nothing is left out silently. */
static void tell(struct front *front, json_t *message)
{
    int result = message ? pv_outbox_put(&front->out, message) : PV_E_MESSAGE_NOMEM;
    json_decref(message);
    if (result == 0)
        return;
    front->closing = true;
    message = pv_front_error("internal", "the answer is longer than a message may be", -1, NULL);
    if (message)
        pv_outbox_put(&front->out, message);
    json_decref(message);
}

static void tell_error(struct front *front, const char *code, const char *text)
{
    tell(front, pv_front_error(code, text, -1, NULL));
}

/* The monitor reads promptly; where its queue is full all the same, a frame waits a while and is not dropped. */
static int hand_over(uint32_t type, const struct pv_wbuf *w)
{
    int result = pv_frame_send(MONITOR, type, w, NULL, 0);
    if (result != PV_E_WIRE_AGAIN)
        return result;
    struct pollfd fd = {.fd = MONITOR, .events = POLLOUT};
    poll(&fd, 1, HANDOVER_TIME);
    return pv_frame_send(MONITOR, type, w, NULL, 0);
}

/* Reports a breach of the protocol to the monitor's log and ends the connection. */
static void abuse(struct front *front, enum pv_front_abuse kind, const char *what)
{
    uint8_t bytes[1024];
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof(bytes));
    pv_put_u32(&w, kind);
    pv_put_str(&w, what, strnlen(what, 512));
    hand_over(PV_FM_ABUSE, &w);
    front->closing = true;
}

static void malformed(struct front *front, const struct pv_message_error *error)
{
    bool too_long = front->in.len > PV_MESSAGE_MAX;
    tell(front, pv_front_error("malformed", error->text, error->offset, error->place));
    abuse(front, too_long ? PV_FABUSE_TOO_LONG : PV_FABUSE_MALFORMED, error->text);
}

static void submit(struct front *front, const json_t *message)
{
    if (front->busy) {
        tell_error(front, "busy", "a request is in flight on this connection; the next may come after its result");
        abuse(front, PV_FABUSE_SECOND_REQUEST, "a second request while one was in flight");
        return;
    }
    struct pv_message_error error;
    struct pv_wbuf w;
    pv_wbuf_init(&w, front->payload, sizeof(front->payload));
    int result = pv_front_submit(message, &w, &error);
    if (result == PV_E_MESSAGE_BAD) {
        malformed(front, &error);
        return;
    }
    if (result || hand_over(PV_FM_REQUEST, &w)) {
        tell_error(front, "internal", "the request could not be handed to the agent");
        front->closing = true;
        return;
    }
    front->busy = true;
}

static void cancel(struct front *front, const json_t *message)
{
    static const struct pv_field fields[] = {{.name = "schema", .kind = PV_F_STRING, .required = true, .max = 64}};
    struct pv_message_error error;
    if (pv_message_check(message, "", fields, 1, &error)) {
        malformed(front, &error);
        return;
    }
    /* Without a request in flight its result has crossed this message: there is nothing to cancel. */
    if (front->busy)
        hand_over(PV_FM_CANCEL, NULL);
}

static void unknown_schema(struct front *front, const json_t *message)
{
    struct pv_message_error error = {.offset = -1, .place = "schema"};
    if (json_object_get(message, "schema"))
        snprintf(error.text, sizeof(error.text), "schema is neither proviso/submit/1 nor proviso/cancel/1");
    else
        snprintf(error.text, sizeof(error.text), "schema is missing");
    malformed(front, &error);
}

/* One message, or a part of one. The rest of what the client sent stays in the kernel until this is through. */
static void read_client(struct front *front)
{
    json_t *message;
    struct pv_message_error error;
    int result = pv_inbox_read(&front->in, CLIENT, &message, &error);
    if (result == PV_E_MESSAGE_BAD) {
        malformed(front, &error);
    } else if (result < 0) {
        /* Gone, or without memory for its message: nothing more can be said to it. */
        if (result == PV_E_MESSAGE_CUT)
            abuse(front, PV_FABUSE_MALFORMED, "the client ended the connection inside a message");
        front->closing = true;
        front->out.len = 0;
    } else if (result == 1) {
        if (strcmp(pv_message_schema(message), "proviso/submit/1") == 0)
            submit(front, message);
        else if (strcmp(pv_message_schema(message), "proviso/cancel/1") == 0)
            cancel(front, message);
        else
            unknown_schema(front, message);
        json_decref(message);
    }
}

static void request_ended(struct front *front)
{
    front->busy = false;
    pv_front_stream_close(&front->stream);
}

static void bad_frame(struct front *front)
{
    tell_error(front, "internal", "the agent sent this front end what it does not understand");
    fprintf(stderr, "proviso-frontend: a frame of the monitor's is malformed or out of place\n");
    front->closing = true;
}

/* Whether a frame of this type may come now. */
static bool in_place(const struct front *front, uint32_t type, size_t n_fds)
{
    if (n_fds != (type == PV_MF_STARTED ? 2 : 0))
        return false;
    if (!front->greeted)
        return type == PV_MF_HELLO || type == PV_MF_ERROR;
    if (!front->busy)
        return type == PV_MF_ERROR;
    return type != PV_MF_HELLO && !(type == PV_MF_STARTED && front->stream.output >= 0);
}

static void read_monitor(struct front *front)
{
    uint32_t type;
    size_t len, n_fds;
    int fds[2] = {-1, -1};
    int result = pv_frame_recv(MONITOR, front->payload, sizeof(front->payload), &type, &len, fds, 2, &n_fds);
    if (result == PV_E_WIRE_AGAIN)
        return;
    if (result == PV_E_WIRE_CLOSED) {
        if (front->busy || !front->greeted)
            tell_error(front, "internal", "the agent ended the connection");
        front->closing = true;
        return;
    }
    struct pv_front_answer answer = {0};
    if (result == 0 && in_place(front, type, n_fds)) {
        if (type == PV_MF_STARTED) {
            pv_front_stream_open(&front->stream, fds[0], fds[1]);
            front->look_again = LOOK_AGAIN_MIN;
            n_fds = 0;
        }
        result = pv_front_answer(type, front->payload, len, &answer);
    } else if (result == 0) {
        result = PV_E_WIRE_BAD;
    }
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    if (result) {
        bad_frame(front);
        return;
    }
    if (type == PV_MF_HELLO)
        front->greeted = true;
    if (type == PV_MF_ERROR && !front->busy)
        front->closing = true;
    if (type == PV_MF_FINISHED) {
        front->result = answer.message;
        front->look_again = 0;
        return;
    }
    tell(front, answer.message);
    if (answer.ends)
        request_ended(front);
}

/* Output and progress, as far as there is room; then the result that waited for them. */
static void read_stream(struct front *front)
{
    bool grew = false;
    while (has_room(front) && !front->closing) {
        json_t *message;
        int result = pv_front_stream_next(&front->stream, front->result != NULL, &message);
        if (result == 1) {
            tell(front, message);
            grew = true;
            continue;
        }
        if (result < 0) {
            tell_error(front, "internal", "the command's output could not be read; the command itself is not affected");
            front->closing = true;
        } else if (front->result) {
            tell(front, front->result);
            front->result = NULL;
            request_ended(front);
        }
        break;
    }
    front->look_again = grew ? LOOK_AGAIN_MIN : front->look_again * 2;
    if (front->look_again < LOOK_AGAIN_MIN)
        front->look_again = LOOK_AGAIN_MIN;
    if (front->look_again > LOOK_AGAIN_MAX)
        front->look_again = LOOK_AGAIN_MAX;
}

static enum waiting waiting_for(const struct front *front)
{
    if (front->closing)
        return FOR_GOODBYE;
    if (pv_inbox_inside(&front->in))
        return FOR_REST;
    if (front->out.len > 0)
        return FOR_RECEPTION;
    return front->busy ? FOR_NOTHING : FOR_REQUEST;
}

/* Milliseconds until the patience with the client is over; -1 without end. */
static int64_t patience(const struct front *front)
{
    static const int64_t times[] = {
        [FOR_REQUEST] = IDLE_TIME,    [FOR_REST] = ARRIVAL_TIME, [FOR_RECEPTION] = STALLED_TIME,
        [FOR_GOODBYE] = GOODBYE_TIME, [FOR_NOTHING] = -1,
    };
    if (times[front->waiting] < 0)
        return -1;
    int64_t left = front->since + times[front->waiting] - now_ms();
    return left > 0 ? left : 0;
}

/* False when the connection is to end at once. */
static bool out_of_patience(struct front *front)
{
    if (front->waiting == FOR_GOODBYE || front->waiting == FOR_RECEPTION)
        return false;
    if (front->waiting == FOR_REST) {
        tell_error(front, "malformed", "a message that did not end in time");
        abuse(front, PV_FABUSE_MALFORMED, "a message that did not end in time");
    } else {
        tell_error(front, "idle", "no request for five minutes");
        front->closing = true;
    }
    return true;
}

/* One turn. False at the end. */
static bool turn(struct front *front)
{
    if (front->closing && front->out.len == 0)
        return false;
    bool streams = front->stream.output >= 0 || front->stream.progress >= 0 || front->result;
    struct pollfd fds[2] = {
        {.fd = CLIENT, .events = (short)((front->closing ? 0 : POLLIN) | (front->out.len ? POLLOUT : 0))},
        {.fd = !front->closing && !front->result && has_room(front) ? MONITOR : -1, .events = POLLIN},
    };
    int64_t timeout = patience(front);
    if (streams && !front->closing && has_room(front) && (timeout < 0 || timeout > front->look_again))
        timeout = front->look_again;
    if (poll(fds, 2, (int)timeout) < 0 && errno != EINTR)
        return false;

    if (fds[0].revents & POLLOUT) {
        size_t before = front->out.len;
        if (pv_outbox_flush(&front->out, CLIENT))
            return false;
        if (front->out.len < before)
            front->since = now_ms();
    } else if (fds[0].revents & (POLLERR | POLLNVAL) || (front->closing && fds[0].revents & POLLHUP)) {
        return false;
    }
    if (!front->closing && fds[0].revents & (POLLIN | POLLHUP))
        read_client(front);
    if (!front->closing && fds[1].revents & (POLLIN | POLLHUP))
        read_monitor(front);
    if (!front->closing && (front->stream.output >= 0 || front->stream.progress >= 0 || front->result))
        read_stream(front);
    enum waiting waiting = waiting_for(front);
    if (waiting != front->waiting) {
        front->waiting = waiting;
        front->since = now_ms();
    }
    if (patience(front) == 0)
        return out_of_patience(front);
    return true;
}

static bool is_socket(int fd, int type)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len) == 0 && value == type;
}

int main(void)
{
    if (geteuid() == 0) {
        fprintf(stderr, "proviso-frontend: refuses to run as root; the agent starts it as an account of its own\n");
        return 2;
    }
    if (!is_socket(CLIENT, SOCK_STREAM) || !is_socket(MONITOR, SOCK_SEQPACKET)) {
        fprintf(stderr, "proviso-frontend: is started by provisod, with descriptors 3 (client) and 4 (monitor)\n");
        return 2;
    }
    close_range(MONITOR + 1, ~0u, 0);
    if (fcntl(CLIENT, F_SETFL, O_NONBLOCK) || fcntl(MONITOR, F_SETFL, O_NONBLOCK))
        return 2;
    /* The parser's hash tables are seeded here: the filter below lets it open nothing. */
    size_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return 2;
    json_object_seed(seed);
    struct front *front = calloc(1, sizeof(*front));
    if (!front || pv_outbox_init(&front->out, OUTBOX)) {
        fprintf(stderr, "proviso-frontend: no memory\n");
        free(front);
        return 2;
    }
    pv_front_stream_open(&front->stream, -1, -1);
    int result = pv_front_sandbox();
    if (result) {
        fprintf(stderr, "proviso-frontend: cannot give up its privileges: %s\n", strerror(-result));
        return 2;
    }
    front->since = now_ms();
    while (turn(front))
        ;
    pv_front_stream_close(&front->stream);
    json_decref(front->result);
    pv_inbox_free(&front->in);
    pv_outbox_free(&front->out);
    free(front);
    return 0;
}
