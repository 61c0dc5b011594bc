/* What the fuzz targets share (fuzz.h). */
#include "tests/fuzz/fuzz.h"

/* Zones are read once: opening files would be most of a run. Names are few, or wrong. */
enum { ZONES = 64, ZONE_MAX = 1 << 16 };
static struct {
    char name[64];
    char *bytes;
    size_t len;
} zones[ZONES];
static unsigned n_zones;

static int load_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    if (!*name)
        name = "UTC";
    if (strlen(name) >= sizeof zones[0].name || *name == '/' || strchr(name, '.'))
        return -1;
    for (unsigned i = 0; i < n_zones; i++) {
        if (strcmp(zones[i].name, name) == 0) {
            *data = zones[i].bytes;
            *len = zones[i].len;
            return 0;
        }
    }
    char path[128];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *f = n_zones < ZONES ? fopen(path, "rb") : NULL;
    char *bytes = f ? malloc(ZONE_MAX) : NULL;
    size_t n = bytes ? fread(bytes, 1, ZONE_MAX, f) : 0;
    if (f)
        fclose(f);
    if (!n) {
        free(bytes);
        return -1;
    }
    snprintf(zones[n_zones].name, sizeof zones[n_zones].name, "%s", name);
    zones[n_zones].bytes = bytes;
    zones[n_zones].len = n;
    n_zones++;
    *data = bytes;
    *len = n;
    return 0;
}

static void release_zone(void *context, const void *data, size_t len)
{
    (void)context;
    (void)data;
    (void)len;
}

const struct pv_host fuzz_host = {.load_zone = load_zone, .release_zone = release_zone};

FILE *fuzz_nowhere(void)
{
    static FILE *out;
    if (!out)
        out = fopen("/dev/null", "w");
    FUZZ_CHECK(out, "/dev/null does not open");
    return out;
}

void *fuzz_exact(const void *data, size_t size)
{
    void *copy = malloc(size ? size : 1);
    FUZZ_CHECK(copy, "out of memory");
    if (size)
        memcpy(copy, data, size);
    return copy;
}
