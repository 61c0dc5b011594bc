/*
 * pv_client: a connection to the agent, for `selfserve` and for the operator verbs of `proviso`.
 *
 * Opening it checks that the other side is root (a socket in a writable place could be anybody's) and reads the agent's
 * greeting. A request is then described once, in the terms of the canonical encoding; this sends it as JSON with the
 * passcode that selfserve-pass makes for it. Every function that can fail fills `why` with one sentence for people;
 * text of the server's in it is escaped for terminals.
 *
 * Blocking; one thread. SIGPIPE cannot arise from it. libc and libjansson.
 */
#ifndef PV_AGENTD_CLIENT_CONNECT_H
#define PV_AGENTD_CLIENT_CONNECT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "agentd/request_wire.h"

#define PV_CLIENT_SOCKET "/run/proviso/agent.sock"

enum {
    PV_E_CLIENT_UNREACHABLE = -1201, /* no agent there, or it went away */
    PV_E_CLIENT_UNTRUSTED = -1202,   /* the other side is not root */
    PV_E_CLIENT_PROTOCOL = -1203,    /* it speaks another protocol, or breaks this one */
    PV_E_CLIENT_PASSCODE = -1204,    /* the helper that holds the key cannot be used */
    PV_E_CLIENT_TOO_LONG = -1205,    /* the request does not fit into its encoding */
    PV_E_CLIENT_NOMEM = -1206,
    PV_E_CLIENT_REFUSED = -1207, /* the agent ended the connection with a reason: the message in *out, or `why` */
};

struct pv_client;

/* Connects and waits for the greeting. `socket` NULL: $PROVISO_SOCKET, else PV_CLIENT_SOCKET. */
int pv_client_open(struct pv_client **out, const char *socket, char *why, size_t why_size);
void pv_client_close(struct pv_client *client);

/* The greeting ("proviso/hello/1"), as long as the client lives. */
const json_t *pv_client_hello(const struct pv_client *client);
/* To wait on together with other things; readable when pv_client_receive() has something to read. */
int pv_client_fd(const struct pv_client *client);

/* Sends a request. protocol, counter and user_name are set here; everything else is the caller's. */
int pv_client_submit(struct pv_client *client, struct pv_wire_request *request, char *why, size_t why_size);
/* Asks the agent to end the request in flight if it has not started. */
int pv_client_cancel(struct pv_client *client);

/* Waits for the next message: a new reference in *out. PV_E_CLIENT_UNREACHABLE when the agent ended the connection. */
int pv_client_receive(struct pv_client *client, json_t **out, char *why, size_t why_size);

/* The canonical request as the JSON of the "request" key: a new reference, NULL without memory. For tests and for
 * those who show what would be sent. */
json_t *pv_client_request_json(const struct pv_wire_request *request);

/* The directory that holds this program's file, without a slash at its end; 0 or -1. Installations are found relative
 * to it, never by the environment. */
int pv_client_program_directory(char *path, size_t size);

#endif
