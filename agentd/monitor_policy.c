/*
 * The policy in force: reading, checking, remembering and replacing bundles.
 *
 * A bundle is read once, into a sealed memory file, and everything after (signature, structure, decisions) looks at
 * those bytes alone. Bundle and signature are opened through one descriptor of their directory, so that a release
 * directory behind a symbolic link gives a pair that belongs together.
 *
 * Invariants: what is in force was signed by the configured key; versions only grow, and one version has one content
 * (the floor, durable before the bundle counts); a refused bundle changes nothing but the log and the ledger; the last
 * good bundle is kept, with its signature, and is checked again when it is needed.
 */
#include "agentd/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLOOR_FILE     "floor"
#define LAST_GOOD_DIR  "bundle"
#define LAST_GOOD_FILE "last-good"

static const char floor_magic[8] = "PVFLOOR1", good_magic[8] = "PVGOOD01";

enum { ZONE_MAX = 1 << 20 /* bytes of a time zone file */ };

/* ---- The floor ---- */

int pv_mon_floor_read(int state_dir, struct floor *floor)
{
    void *data;
    size_t len;
    char magic[sizeof floor_magic];
    memset(floor, 0, sizeof *floor);
    int result = pv_file_read(state_dir, FLOOR_FILE, 64, &data, &len);
    if (result == -ENOENT)
        return 0;
    if (result)
        return -1;
    struct pv_rbuf r;
    pv_rbuf_init(&r, data, len);
    pv_get_raw(&r, magic, sizeof magic);
    floor->version = pv_get_u64(&r);
    pv_get_raw(&r, floor->hash, sizeof floor->hash);
    floor->known = pv_rbuf_done(&r) && memcmp(magic, floor_magic, sizeof magic) == 0;
    free(data);
    return floor->known ? 0 : -1;
}

int pv_mon_floor_write(int state_dir, const struct floor *floor)
{
    uint8_t bytes[64];
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_put_raw(&w, floor_magic, sizeof floor_magic);
    pv_put_u64(&w, floor->version);
    pv_put_raw(&w, floor->hash, sizeof floor->hash);
    return pv_file_write(state_dir, FLOOR_FILE, 0600, bytes, w.len);
}

const char *pv_mon_floor_refuses(const struct floor *floor, uint64_t version, const uint8_t hash[32])
{
    if (!floor->known || version > floor->version)
        return NULL;
    if (version < floor->version)
        return "its version is lower than that of a policy that has been in force";
    return memcmp(hash, floor->hash, sizeof floor->hash) == 0
               ? NULL
               : "a policy of the same version with another content has been in force: raise the version";
}

/* ---- What the runtime needs from its host ---- */

static bool zone_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < 128 && name[0] != '/' && !strstr(name, "..") &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == len;
}

static int load_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    char path[256], why[PATH_MAX + 128];
    void *bytes;
    if (name[0] && !zone_name_valid(name))
        return PV_E_ZONE;
    snprintf(path, sizeof path, "%s%s", name[0] ? "/usr/share/zoneinfo/" : "/etc/localtime", name);
    int result = pv_file_read(AT_FDCWD, path, ZONE_MAX, &bytes, len);
    if (result == -ENOENT && !name[0]) /* a host without a zone of its own is in UTC */
        result = pv_file_read(AT_FDCWD, strcpy(path, "/usr/share/zoneinfo/Etc/UTC"), ZONE_MAX, &bytes, len);
    if (result)
        return PV_E_ZONE;
    if (pv_path_check(path, false, why, sizeof why)) {
        pv_mon_log("time zone: %s", why);
        free(bytes);
        return PV_E_ZONE;
    }
    *data = bytes;
    return 0;
}

static void release_zone(void *context, const void *data, size_t len)
{
    (void)context;
    (void)len;
    free((void *)data);
}

static int sha256(void *context, const void *parts[], const size_t lens[], size_t n_parts, uint8_t out[32])
{
    (void)context;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < n_parts; i++)
        crypto_hash_sha256_update(&state, parts[i], lens[i]);
    crypto_hash_sha256_final(&state, out);
    return 0;
}

/* ---- Loading ---- */

struct candidate {
    struct monitor *m;
    const char *signature;
    size_t signature_len;
    int verified; /* result of pv_minisign_verify(); 1: not asked */
    char *comment;
};

static int verify(void *context, const void *bundle, size_t len)
{
    struct candidate *c = context;
    c->verified = pv_minisign_verify(&c->m->pubkey, c->signature, c->signature_len, bundle, len, c->comment);
    return c->verified;
}

struct policy *pv_mon_policy_ref(struct policy *policy)
{
    policy->refs++;
    return policy;
}

void pv_mon_policy_unref(struct policy *policy)
{
    if (!policy || --policy->refs)
        return;
    pv_bundle_free(policy->bundle);
    if (policy->data)
        munmap(policy->data, policy->len);
    free(policy->comment);
    free(policy);
}

/* The whole of `fd` in a sealed memory file, mapped read-only. 0 or a negative errno. */
static int seal(int fd, off_t offset, size_t len, void **data)
{
    char chunk[65536];
    int result = 0;
    *data = NULL;
    int memory = memfd_create("proviso-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0)
        return -errno;
    for (size_t at = 0; at < len;) {
        size_t want = len - at < sizeof chunk ? len - at : sizeof chunk;
        ssize_t n = pread(fd, chunk, want, offset + (off_t)at);
        if (n <= 0) {
            result = n < 0 ? -errno : -EIO;
            goto out;
        }
        if (write(memory, chunk, (size_t)n) != n) {
            result = -ENOSPC;
            goto out;
        }
        at += (size_t)n;
    }
    if (fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        result = -errno;
        goto out;
    }
    void *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, memory, 0);
    if (map == MAP_FAILED)
        result = -errno;
    else
        *data = map;
out:
    close(memory);
    return result;
}

/* Rules for this agent that the format does not know. */
static const char *unfit(const struct monitor *m, const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_source *sources = pv_bundle_section(bundle, PVB_SOURCES, &n);
    if (pv_bundle_is_library(bundle))
        return "it is a library, not a policy";
    for (size_t i = 0; i < n; i++)
        if ((sources[i].flags & PVB_SOURCE_UNSIGNED) && strcmp(m->options.root, "/") == 0)
            return "it has an unsigned source, which only an agent with an alternate root accepts";
    return NULL;
}

/* Makes a policy from the bytes [offset, offset + len) of fd and a signature file. On failure NULL with a sentence. */
static struct policy *load(struct monitor *m, int fd, off_t offset, size_t len, const char *signature,
                           size_t signature_len, char *why, size_t size)
{
    struct policy *policy = calloc(1, sizeof *policy);
    struct candidate c = {.m = m, .signature = signature, .signature_len = signature_len, .verified = 1};
    struct pv_error error = {0};
    why[0] = '\0';
    if (!policy || !(policy->comment = calloc(1, PV_MINISIGN_COMMENT_MAX + 1))) {
        snprintf(why, size, "no memory");
        goto fail;
    }
    c.comment = policy->comment;
    policy->refs = 1;
    if (len == 0 || len > PVB_MAX_FILE) {
        snprintf(why, size, "it is empty or too long");
        goto fail;
    }
    int result = seal(fd, offset, len, &policy->data);
    if (result) {
        snprintf(why, size, "cannot be read: %s", strerror(-result));
        goto fail;
    }
    policy->len = len;
    const struct pv_host host = {
        .context = &c, .verify = verify, .sha256 = sha256, .load_zone = load_zone, .release_zone = release_zone};
    if (pv_bundle_load(&policy->bundle, policy->data, len, &host, &error)) {
        snprintf(why, size, "%s", c.verified != 0 && c.verified != 1 ? pv_minisign_strerror(c.verified) : error.text);
        goto fail;
    }
    const char *bad = c.verified == 0 ? unfit(m, policy->bundle) : "its signature was not checked";
    if (bad) {
        snprintf(why, size, "%s", bad);
        goto fail;
    }
    const void *zone;
    size_t zone_len;
    if (load_zone(NULL, pv_bundle_zone(policy->bundle), &zone, &zone_len) == 0) {
        crypto_hash_sha256(policy->zone_hash, zone, zone_len);
        release_zone(NULL, zone, zone_len);
    }
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < 8; i++) { /* as minisign prints a key id: the number that the bytes mean */
        policy->key_id[14 - 2 * i] = hex[m->pubkey.id[i] >> 4];
        policy->key_id[15 - 2 * i] = hex[m->pubkey.id[i] & 15];
    }
    return policy;
fail:
    if (policy && policy->refs == 0)
        policy->refs = 1;
    pv_mon_policy_unref(policy);
    return NULL;
}

/* The configured bundle and the signature beside it. */
static struct policy *load_configured(struct monitor *m, char *why, size_t size)
{
    char path[PATH_MAX], name[PATH_MAX], signature_name[PATH_MAX + 16];
    struct policy *policy = NULL;
    void *signature = NULL;
    size_t signature_len;
    int dir = -1, fd = -1;
    if (pv_path_check(m->options.policy, false, why, size))
        return NULL;
    snprintf(path, sizeof path, "%s", m->options.policy);
    snprintf(name, sizeof name, "%s", m->options.policy);
    dir = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *base = basename(name);
    snprintf(signature_name, sizeof signature_name, "%s.minisig", base);
    if (dir < 0 || (fd = openat(dir, base, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0) {
        snprintf(why, size, "cannot be opened: %s", strerror(errno));
        goto out;
    }
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022)) {
        snprintf(why, size, "is not a regular file that only root can write");
        goto out;
    }
    int result = pv_file_read(dir, signature_name, PV_MINISIGN_FILE_MAX, &signature, &signature_len);
    if (result) {
        snprintf(why, size, "its signature %s cannot be read: %s", signature_name, strerror(-result));
        goto out;
    }
    policy = load(m, fd, 0, (size_t)st.st_size, signature, signature_len, why, size);
out:
    free(signature);
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return policy;
}

/* ---- The last good bundle: magic[8], u32 length of the signature, signature, bundle. ---- */

static int open_last_good(struct monitor *m, int flags)
{
    int dir = openat(m->state_dir, LAST_GOOD_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return -1;
    if (flags == O_DIRECTORY)
        return dir;
    int fd = openat(dir, LAST_GOOD_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    close(dir);
    return fd;
}

static struct policy *load_last_good(struct monitor *m, char *why, size_t size)
{
    uint8_t head[12];
    struct stat st;
    struct policy *policy = NULL;
    char *signature = NULL;
    int fd = open_last_good(m, 0);
    if (fd < 0) {
        snprintf(why, size, "there is no earlier one");
        return NULL;
    }
    struct pv_rbuf r;
    pv_rbuf_init(&r, head + 8, 4);
    if (fstat(fd, &st) < 0 || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head, good_magic, 8) != 0) {
        snprintf(why, size, "the file is damaged");
        goto out;
    }
    size_t signature_len = pv_get_u32(&r);
    if (signature_len > PV_MINISIGN_FILE_MAX || st.st_size <= (off_t)(sizeof head + signature_len) ||
        !(signature = malloc(signature_len + 1)) ||
        pread(fd, signature, signature_len, sizeof head) != (ssize_t)signature_len) {
        snprintf(why, size, "the file is damaged");
        goto out;
    }
    size_t before = sizeof head + signature_len;
    policy = load(m, fd, (off_t)before, (size_t)st.st_size - before, signature, signature_len, why, size);
out:
    free(signature);
    close(fd);
    return policy;
}

/* Keeps what is loaded now from the configured path. The signature is read again: it is small, and it is checked
 * together with the bundle when it is needed. */
static int keep_last_good(struct monitor *m, const struct policy *policy)
{
    char name[PATH_MAX + 16];
    void *signature = NULL;
    uint8_t *all = NULL;
    size_t signature_len;
    snprintf(name, sizeof name, "%s.minisig", m->options.policy);
    int result = pv_file_read(AT_FDCWD, name, PV_MINISIGN_FILE_MAX, &signature, &signature_len);
    if (result)
        return result;
    /* Not while the signature was replaced in between: then the next reload keeps the pair. */
    result = pv_minisign_verify(&m->pubkey, signature, signature_len, policy->data, policy->len, NULL);
    if (result) {
        result = -EAGAIN;
        goto out;
    }
    if ((result = pv_dir_make(m->state_dir, LAST_GOOD_DIR, 0700, 0, 0)))
        goto out;
    size_t len = 12 + signature_len + policy->len;
    if (!(all = malloc(len))) {
        result = -ENOMEM;
        goto out;
    }
    struct pv_wbuf w;
    pv_wbuf_init(&w, all, len);
    pv_put_raw(&w, good_magic, sizeof good_magic);
    pv_put_bytes(&w, signature, signature_len);
    pv_put_raw(&w, policy->data, policy->len);
    int dir = open_last_good(m, O_DIRECTORY);
    if (dir < 0) {
        result = -errno;
        goto out;
    }
    result = pv_file_write(dir, LAST_GOOD_FILE, 0600, all, len);
    close(dir);
out:
    free(all);
    free(signature);
    return result;
}

/* ---- Records and replacement ---- */

static void record(struct monitor *m, const struct policy *policy, bool accepted, const char *sentence)
{
    struct pv_record r = {.kind = PV_RECORD_POLICY, .uid = PV_RECORD_NOBODY};
    r.policy.accepted = accepted;
    r.policy.path = pv_str_of(m->options.policy);
    r.policy.sentence = pv_str_of(accepted ? "" : sentence);
    if (policy) {
        r.policy.name = pv_str_of(pv_bundle_name(policy->bundle));
        r.policy.version = pv_bundle_version(policy->bundle);
        memcpy(r.policy.content_hash, pv_bundle_content_hash(policy->bundle), 32);
        r.policy.zone = pv_str_of(pv_bundle_zone(policy->bundle));
        memcpy(r.policy.zone_hash, policy->zone_hash, 32);
        r.policy.key_id = pv_str_of(policy->key_id);
        r.policy.comment = pv_str_of(policy->comment);
    }
    pv_mon_record(m, &r, true, NULL, NULL);
}

void pv_mon_policy_record(struct monitor *m)
{
    record(m, m->policy, true, "");
}

/* Whether it may be in force; if so the floor is raised to it, durably. */
static bool pass_floor(struct monitor *m, const struct policy *policy, char *why, size_t size)
{
    struct floor floor;
    uint64_t version = pv_bundle_version(policy->bundle);
    const uint8_t *hash = pv_bundle_content_hash(policy->bundle);
    if (pv_mon_floor_read(m->state_dir, &floor) < 0) {
        snprintf(why, size, "the record of the highest version that was in force (%s/" FLOOR_FILE ") is damaged",
                 m->options.state);
        return false;
    }
    const char *refusal = pv_mon_floor_refuses(&floor, version, hash);
    if (refusal) {
        snprintf(why, size, "%s", refusal);
        return false;
    }
    if (floor.known && floor.version == version)
        return true;
    floor = (struct floor){.known = true, .version = version};
    memcpy(floor.hash, hash, sizeof floor.hash);
    int result = pv_mon_floor_write(m->state_dir, &floor);
    if (result)
        snprintf(why, size, "the floor cannot be written: %s", strerror(-result));
    return result == 0;
}

static void adopt(struct monitor *m, struct policy *policy, const char *from)
{
    pv_mon_policy_unref(m->policy);
    m->policy = policy;
    pv_mon_log("policy %s version %llu is in force%s", pv_bundle_name(policy->bundle),
               (unsigned long long)pv_bundle_version(policy->bundle), from);
}

int pv_mon_policy_start(struct monitor *m)
{
    char why[PATH_MAX + 256];
    struct floor floor;
    struct policy *policy = NULL;
    int kept = open_last_good(m, 0);
    if (kept >= 0) {
        close(kept);
        if (pv_mon_floor_read(m->state_dir, &floor) == 0 && !floor.known) {
            pv_mon_log("ALARM: %s/" FLOOR_FILE " is lost: taking the version of the last good bundle in its place",
                       m->options.state);
            policy = load_last_good(m, why, sizeof why);
            bool passed = policy && pass_floor(m, policy, why, sizeof why);
            pv_mon_policy_unref(policy);
            if (!passed) {
                pv_mon_log("the floor cannot be restored: %s", why);
                return -1;
            }
        }
    }
    policy = load_configured(m, why, sizeof why);
    if (policy && pass_floor(m, policy, why, sizeof why)) {
        int result = keep_last_good(m, policy);
        if (result)
            pv_mon_log("the last good bundle cannot be kept: %s", strerror(-result));
        adopt(m, policy, "");
        return 0;
    }
    pv_mon_policy_unref(policy);
    pv_mon_log("policy %s is refused: %s", m->options.policy, why);
    policy = load_last_good(m, why, sizeof why);
    if (policy && pass_floor(m, policy, why, sizeof why)) {
        adopt(m, policy, " (the last good one)");
        return 0;
    }
    pv_mon_policy_unref(policy);
    pv_mon_log("no last good policy: %s", why);
    return -1;
}

void pv_mon_policy_reload(struct monitor *m)
{
    char why[PATH_MAX + 256];
    struct policy *policy = load_configured(m, why, sizeof why);
    if (!policy || !pass_floor(m, policy, why, sizeof why)) {
        pv_mon_log("policy %s is refused: %s; version %llu stays in force", m->options.policy, why,
                   (unsigned long long)pv_bundle_version(m->policy->bundle));
        record(m, policy, false, why);
        pv_mon_policy_unref(policy);
        return;
    }
    int result = keep_last_good(m, policy);
    if (result)
        pv_mon_log("the last good bundle cannot be kept: %s", strerror(-result));
    adopt(m, policy, "");
    record(m, policy, true, "");
}
