/*
 * The parts of proviso-frontend: the process that speaks JSON with one client, so that the monitor need not.
 *
 * One process per connection, started by the monitor with descriptor 3 the client's stream socket and descriptor 4 the
 * monitor's frames (agentd/messages.h). It runs as an account of its own, in an empty root, without new privileges and
 * under a system-call filter; it holds no key and speaks for nobody: the monitor took the client's identity from the
 * kernel before it started this process, and checks every request itself. What a hostile client could win by taking
 * this process over is to send the requests that it may send anyway.
 *
 * Bounded memory: one message of the client's at a time, one frame of the monitor's, one outbox of fixed size. Output
 * of a command is read from its file at the pace at which the client takes it, however slow that is.
 *
 *   frontend.c          the loop, deadlines, start and end
 *   frontend_submit.c   a client's message to a canonical request
 *   frontend_answer.c   the monitor's frames to messages
 *   frontend_stream.c   output and progress files to messages
 *   frontend_sandbox.c  limits and the system-call filter
 */
#ifndef PV_AGENTD_FRONTEND_H
#define PV_AGENTD_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agentd/message.h"
#include "agentd/messages.h"
#include "agentd/request_wire.h"

/* ---- frontend_submit.c ---- */

/* Turns a "proviso/submit/1" message into the payload of PV_FM_REQUEST. 0, PV_E_MESSAGE_BAD (error says where), or
 * PV_E_MESSAGE_NOMEM. */
int pv_front_submit(const json_t *message, struct pv_wbuf *w, struct pv_message_error *error);

/* ---- frontend_answer.c ---- */

/* What the loop needs to know of a frame beside the message that it becomes. */
struct pv_front_answer {
    json_t *message; /* a new reference; NULL where the frame has no message of its own */
    bool ends;       /* the request is over after this */
};
/* Turns one frame of the monitor's into a message. 0, PV_E_WIRE_BAD, PV_E_MESSAGE_NOMEM. PV_MF_FINISHED becomes the
 * result, which the loop holds back until the output is through. */
int pv_front_answer(uint32_t type, const void *payload, size_t len, struct pv_front_answer *out);

/* {"schema": "proviso/error/1", ...}: the reason why a request or the connection ends. `offset` -1 and `place` NULL:
 * none. NULL without memory. */
json_t *pv_front_error(const char *code, const char *text, long offset, const char *place);

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD, NUL too. */
json_t *pv_front_string(const char *text, size_t len);

/* ---- frontend_stream.c ---- */

enum { PV_FRONT_CHUNK = 16384 /* bytes of output in one message */ };

struct pv_front_stream {
    int output, progress; /* files that grow, or -1 */
    off_t output_at, progress_at;
    char carry[4]; /* the beginning of a character that the end of a chunk cut off */
    size_t n_carry;
    char line[1024]; /* the beginning of a line of progress */
    size_t n_line;
    bool skip_line; /* the line was too long: its rest is passed over */
    int percent;    /* told last, -1 before */
    char text[256];
};
/* Takes over both descriptors (-1: none). */
void pv_front_stream_open(struct pv_front_stream *stream, int output, int progress);
void pv_front_stream_close(struct pv_front_stream *stream);
/* The next message from the files: 1 with a new reference, 0 when there is nothing new, PV_E_MESSAGE_SYSTEM, or
 * PV_E_MESSAGE_NOMEM. `last` tells that nothing grows any more, so that an unfinished character is given out too. */
int pv_front_stream_next(struct pv_front_stream *stream, bool last, json_t **out);
/* One line of APT::Status-Fd ("dlstatus:1:20.5:Fetching", "pmstatus:vlc:40.0:Unpacking"). False where it is none. */
bool pv_front_status_line(const char *line, const char **kind, size_t *kind_len, double *percent, const char **text);

/* ---- frontend_sandbox.c ---- */

/* Limits, no new privileges, not dumpable, and a filter that kills this process at any system call that the loop does
 * not need (opening a file, starting a program, making a socket). 0, or a negative errno. */
int pv_front_sandbox(void);

#endif
