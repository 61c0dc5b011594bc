/*
 * The ledger's hash chain and the two ways to write down a point of it; chain.h tells the formats. Nothing is parsed
 * leniently: a head file that is not byte for byte what pv_head_format() writes is damaged.
 */
#include "agentd/chain.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "runtime/proviso.h"

#define HEAD_PREFIX "proviso-ledger-head 1 "

static void store_le(uint8_t *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

void pv_chain_hash_at(const uint8_t prev[PV_CHAIN_HASH], uint64_t seq, uint64_t time_ns, uint32_t kind,
                      const void *body, size_t len, uint8_t out[PV_CHAIN_HASH])
{
    static const char domain[] = "proviso-ledger-1";
    uint8_t numbers[20];
    crypto_hash_sha256_state state;
    store_le(numbers, seq, 8);
    store_le(numbers + 8, time_ns, 8);
    store_le(numbers + 16, kind, 4);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)domain, sizeof domain - 1);
    crypto_hash_sha256_update(&state, prev, PV_CHAIN_HASH);
    crypto_hash_sha256_update(&state, numbers, sizeof numbers);
    crypto_hash_sha256_update(&state, body, len);
    crypto_hash_sha256_final(&state, out);
}

void pv_chain_hash(const struct pv_head *prev, uint64_t time_ns, uint32_t kind, const void *body, size_t len,
                   uint8_t out[PV_CHAIN_HASH])
{
    pv_chain_hash_at(prev->hash, prev->seq + 1, time_ns, kind, body, len, out);
}

void pv_head_format(const struct pv_head *head, char text[PV_HEAD_TEXT])
{
    char line[PV_HEAD_TEXT + 1], hex[2 * PV_CHAIN_HASH + 1];
    sodium_bin2hex(hex, sizeof hex, head->hash, sizeof head->hash);
    snprintf(line, sizeof line, HEAD_PREFIX "%020" PRIu64 " %s\n", head->seq, hex);
    memcpy(text, line, PV_HEAD_TEXT);
}

/* Decimal digits alone, at most UINT64_MAX. */
static int parse_seq(const char *text, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    if (len == 0 || len > 20)
        return PV_E_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || value > (UINT64_MAX - (uint64_t)(text[i] - '0')) / 10)
            return PV_E_SYNTAX;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = value;
    return 0;
}

static int parse_hash(const char *text, uint8_t out[PV_CHAIN_HASH])
{
    for (size_t i = 0; i < PV_CHAIN_HASH; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *high = text[2 * i] ? strchr(digits, text[2 * i]) : NULL;
        const char *low = high && text[2 * i + 1] ? strchr(digits, text[2 * i + 1]) : NULL;
        if (!low)
            return PV_E_SYNTAX;
        out[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return 0;
}

int pv_head_parse(const char *text, size_t len, struct pv_head *out)
{
    size_t prefix = sizeof HEAD_PREFIX - 1;
    struct pv_head head = {0};
    *out = head;
    if (len != PV_HEAD_TEXT || memcmp(text, HEAD_PREFIX, prefix) != 0 || text[prefix + 20] != ' ' ||
        text[PV_HEAD_TEXT - 1] != '\n' || parse_seq(text + prefix, 20, &head.seq) != 0 ||
        parse_hash(text + prefix + 21, head.hash) != 0)
        return PV_E_SYNTAX;
    *out = head;
    return 0;
}

void pv_anchor_format(const struct pv_head *head, char text[PV_ANCHOR_TEXT])
{
    char hex[2 * PV_CHAIN_HASH + 1];
    sodium_bin2hex(hex, sizeof hex, head->hash, sizeof head->hash);
    snprintf(text, PV_ANCHOR_TEXT, "%" PRIu64 ":%s", head->seq, hex);
}

int pv_anchor_parse(const char *text, struct pv_head *out)
{
    struct pv_head head = {0};
    const char *colon = strchr(text, ':');
    *out = head;
    if (!colon || strlen(colon + 1) != 2 * PV_CHAIN_HASH || parse_seq(text, (size_t)(colon - text), &head.seq) != 0 ||
        parse_hash(colon + 1, head.hash) != 0)
        return PV_E_SYNTAX;
    *out = head;
    return 0;
}
