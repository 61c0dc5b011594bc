/* main() of a fuzz target without libFuzzer: runs each file given, and each file in a directory given, once, and says
 * how many there were. A directory that is not there is skipped (no finding yet); nothing at all to run is an error. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "cannot open %s\n", path);
        return -1;
    }
    size_t cap = 1 << 16, len = 0, got;
    uint8_t *data = malloc(cap);
    while (data && (got = fread(data + len, 1, cap - len, f)) > 0) {
        len += got;
        if (len == cap) {
            uint8_t *grown = realloc(data, cap * 2);
            if (!grown)
                break;
            data = grown;
            cap *= 2;
        }
    }
    fclose(f);
    if (!data)
        return -1;
    uint8_t *exact = fuzz_exact(data, len);
    free(data);
    if (getenv("FUZZ_VERBOSE"))
        fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of names, so that a run is the same everywhere. */
static long replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return 0;
    if (!S_ISDIR(status.st_mode))
        return replay_file(path) == 0 ? 1 : -1;
    DIR *dir = opendir(path);
    char **names = NULL;
    size_t n = 0;
    long done = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char **grown = realloc(names, (n + 1) * sizeof *names);
        if (!grown)
            break;
        names = grown;
        if (asprintf(&names[n], "%s/%s", path, entry->d_name) >= 0)
            n++;
    }
    if (dir)
        closedir(dir);
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        long k = done < 0 ? 0 : replay(names[i]);
        done = k < 0 ? -1 : done + k;
        free(names[i]);
    }
    free(names);
    return done;
}

int main(int argc, char **argv)
{
    long total = 0;
    for (int i = 1; i < argc; i++) {
        long k = replay(argv[i]);
        if (k < 0)
            return 2;
        total += k;
    }
    printf("%ld inputs\n", total);
    return total ? 0 : 2;
}
