/*
 * A front end in the hands of an attacker. It stands in the place of proviso-frontend, so it has what that has: the
 * client's socket on descriptor 3, the monitor's frames on 4, and nothing else. What it does is the first word of
 * hostile.conf beside it; a second word is the client key in hexadecimal, which the real one never has. What the
 * monitor answers goes to the client as lines of text.
 */
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agentd/messages.h"
#include "agentd/passcode.h"
#include "agentd/request_wire.h"

static uint8_t frame[PV_WIRE_MAX], key[PV_CLIENT_KEY_SIZE], challenge[PV_CHALLENGE_SIZE];
static uint32_t uid;

static void say(const char *format, unsigned type, const char *text)
{
    char line[2048];
    int n = snprintf(line, sizeof line, format, type, text);
    if (n > 0 && send(3, line, (size_t)n, MSG_NOSIGNAL) < 0)
        _exit(0);
}

/* Passes on what the monitor says until a request is over (true) or the monitor hangs up (false). */
static bool listen_to_monitor(void)
{
    uint32_t type;
    size_t len, n_fds;
    int fds[PV_WIRE_FDS];
    for (;;) {
        int result = pv_frame_recv(4, frame, sizeof frame, &type, &len, fds, PV_WIRE_FDS, &n_fds);
        if (result) {
            say("%u %s\n", 0, "hung up");
            return false;
        }
        struct pv_rbuf r;
        char text[1024] = "";
        pv_rbuf_init(&r, frame, len);
        switch (type) {
        case PV_MF_HELLO:
            pv_get_u32(&r);
            pv_get_raw(&r, challenge, sizeof challenge);
            uid = pv_get_u32(&r);
            return true;
        case PV_MF_ERROR: {
            uint32_t code = pv_get_u32(&r);
            pv_get_str_copy(&r, text, sizeof text);
            say("error %u %s\n", code, text);
            return true;
        }
        case PV_MF_FINISHED: {
            pv_get_str_copy(&r, text, sizeof text);
            say("finished %u %s\n", pv_get_u32(&r), text);
            return true;
        }
        case PV_MF_STARTED: {
            char output[256] = "", byte;
            say("started %u %s\n", (unsigned)n_fds, "");
            /* The descriptors are for reading: neither can be written, nor cut. */
            if (n_fds == 2 && (write(fds[0], "x", 1) >= 0 || ftruncate(fds[0], 0) == 0))
                say("%u %s\n", 0, "the output can be written");
            (void)output;
            (void)byte;
            for (size_t i = 0; i < n_fds; i++)
                close(fds[i]);
            break;
        }
        default: break;
        }
    }
}

static struct pv_wire_request request = {
    .protocol = PV_PROTOCOL, .verb = PV_VERB_BROKER, .command = "task", .cwd = "/"};

static size_t encode(uint8_t *bytes, size_t size)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, size);
    pv_wire_request_encode(&w, &request);
    return w.overflow ? 0 : w.len;
}

static void submit_bytes(const uint8_t *canonical, size_t len, const uint8_t *passcode)
{
    static uint8_t payload[PV_WIRE_MAX];
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_bytes(&w, canonical, len);
    pv_put_raw(&w, passcode, PV_PASSCODE_SIZE);
    pv_frame_send(4, PV_FM_REQUEST, &w, NULL, 0);
}

static void submit(uint32_t as)
{
    uint8_t canonical[8192], passcode[PV_PASSCODE_SIZE];
    size_t len = encode(canonical, sizeof canonical);
    pv_passcode_make(key, challenge, as, canonical, len, passcode);
    submit_bytes(canonical, len, passcode);
}

static void garbage(uint32_t type, size_t len)
{
    static uint8_t bytes[PV_WIRE_MAX];
    randombytes_buf(bytes, len);
    struct pv_wbuf w = {.data = bytes, .size = len, .len = len};
    pv_frame_send(4, type, &w, NULL, 0);
}

static void act(const char *what)
{
    uint8_t canonical[8192], passcode[PV_PASSCODE_SIZE];
    request.counter = 1;
    if (strcmp(what, "honest") == 0) {
        submit(uid);
        listen_to_monitor();
    } else if (strcmp(what, "no-passcode") == 0) {
        memset(passcode, 0, sizeof passcode);
        submit_bytes(canonical, encode(canonical, sizeof canonical), passcode);
        listen_to_monitor();
    } else if (strcmp(what, "other-uid") == 0) { /* a passcode that somebody else's helper made */
        submit(uid + 1);
        listen_to_monitor();
    } else if (strcmp(what, "changed") == 0) { /* another request under the passcode of this one */
        size_t len = encode(canonical, sizeof canonical);
        pv_passcode_make(key, challenge, uid, canonical, len, passcode);
        request.command = "secret";
        submit_bytes(canonical, encode(canonical, sizeof canonical), passcode);
        listen_to_monitor();
    } else if (strcmp(what, "replay") == 0) {
        size_t len = encode(canonical, sizeof canonical);
        pv_passcode_make(key, challenge, uid, canonical, len, passcode);
        submit_bytes(canonical, len, passcode);
        listen_to_monitor();
        submit_bytes(canonical, len, passcode);
        listen_to_monitor();
    } else if (strcmp(what, "other-name") == 0) {
        request.user_name = "root";
        submit(uid);
        listen_to_monitor();
    } else if (strcmp(what, "second") == 0) { /* while the first is in flight */
        submit(uid);
        request.counter = 2;
        request.command = "secret";
        submit(uid);
        listen_to_monitor();
    } else if (strcmp(what, "garbage") == 0) {
        garbage(PV_FM_REQUEST, 3000);
        listen_to_monitor();
    } else if (strcmp(what, "garbage-request") == 0) { /* well authenticated, and nonsense */
        randombytes_buf(canonical, 500);
        pv_passcode_make(key, challenge, uid, canonical, 500, passcode);
        submit_bytes(canonical, 500, passcode);
        listen_to_monitor();
    } else if (strcmp(what, "unknown-frame") == 0) {
        garbage(0x4ff, 10);
        listen_to_monitor();
    } else if (strcmp(what, "short-datagram") == 0) {
        if (send(4, "abc", 3, MSG_NOSIGNAL) == 3)
            listen_to_monitor();
    } else if (strcmp(what, "descriptors") == 0) { /* the monitor takes none */
        int fds[2] = {3, 3};
        pv_frame_send(4, PV_FM_CANCEL, NULL, fds, 2);
        listen_to_monitor();
    } else if (strcmp(what, "monitor-frame") == 0) { /* one of the monitor's own */
        garbage(PV_MF_FINISHED, 40);
        listen_to_monitor();
    } else if (strcmp(what, "cancel-storm") == 0) {
        submit(uid);
        for (int i = 0; i < 5000; i++)
            pv_frame_send(4, PV_FM_CANCEL, NULL, NULL, 0);
        listen_to_monitor();
    } else if (strcmp(what, "abuse-storm") == 0) {
        for (int i = 0; i < 3000; i++) {
            uint8_t bytes[64];
            struct pv_wbuf w;
            pv_wbuf_init(&w, bytes, sizeof bytes);
            pv_put_u32(&w, PV_FABUSE_MALFORMED);
            pv_put_cstr(&w, "again");
            if (pv_frame_send(4, PV_FM_ABUSE, &w, NULL, 0))
                break;
        }
        submit(uid);
        listen_to_monitor();
    } else if (strcmp(what, "deaf") == 0) { /* asks and never reads */
        request.verb = PV_VERB_RIGHTS;
        request.command = "";
        for (request.counter = 1; request.counter < 4000; request.counter++)
            submit(uid);
        sleep(600);
    }
}

int main(void)
{
    char path[512], what[64] = "", hex[2 * PV_CLIENT_KEY_SIZE + 2] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    if (n <= 0 || sodium_init() < 0)
        return 1;
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/hostile.conf");
    FILE *conf = fopen(path, "re");
    if (!conf || fscanf(conf, "%63s %65s", what, hex) < 1)
        return 1;
    fclose(conf);
    sodium_hex2bin(key, sizeof key, hex, strlen(hex), NULL, NULL, NULL);
    if (listen_to_monitor())
        act(what);
    say("%u %s\n", 0, "bye");
    return 0;
}
