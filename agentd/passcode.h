/*
 * The passcode of a request: made by the client's key helper, checked by the monitor. See request_wire.h for what it is
 * computed over. It proves that a request came through a configured client; no authorization rests on it.
 *
 * Links libsodium, libc.
 */
#ifndef PV_AGENTD_PASSCODE_H
#define PV_AGENTD_PASSCODE_H

#include <stddef.h>
#include <stdint.h>

#include "agentd/messages.h"

/* Reads a client key: a regular file of exactly PV_CLIENT_KEY_SIZE bytes. Who may write it is for the caller to check.
 * 0, or a negative errno (-EINVAL: not of that size) with `key` wiped. The caller wipes the key (sodium_memzero). */
int pv_client_key_read(const char *path, uint8_t key[PV_CLIENT_KEY_SIZE]);

/* The passcode of `len` canonical bytes for the real uid `uid` on the connection with this challenge. */
void pv_passcode_make(const uint8_t key[PV_CLIENT_KEY_SIZE], const uint8_t challenge[PV_CHALLENGE_SIZE], uint32_t uid,
                      const void *request, size_t len, uint8_t passcode[PV_PASSCODE_SIZE]);

/* 0 when the passcode is that of exactly these bytes, else -1; in constant time. */
int pv_passcode_verify(const uint8_t key[PV_CLIENT_KEY_SIZE], const uint8_t challenge[PV_CHALLENGE_SIZE], uint32_t uid,
                       const void *request, size_t len, const uint8_t passcode[PV_PASSCODE_SIZE]);

#endif
