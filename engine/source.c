/* Reading source text, and turning offsets into places. */
#include "engine/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/proviso.h"

struct pv_span pv_span_join(struct pv_span a, struct pv_span b)
{
    if (pv_span_is_none(a))
        return b;
    if (pv_span_is_none(b))
        return a;
    if (b.start < a.start)
        a.start = b.start;
    if (b.end > a.end)
        a.end = b.end;
    return a;
}

bool pv_span_is_none(struct pv_span span)
{
    return span.file == PV_NO_FILE;
}

void pv_sources_init(struct pv_sources *sources, struct pv_arena *arena)
{
    *sources = (struct pv_sources){.arena = arena};
}

/* The table of line starts: counted first, so that it is allocated once. */
static int index_lines(struct pv_arena *arena, struct pv_source_file *file)
{
    const char *end = file->text + file->len;
    uint32_t n = 1;
    for (const char *p = file->text; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        n++;
    uint32_t *lines = pv_arena_array(arena, n, sizeof *lines);
    if (!lines)
        return PV_E_NOMEM;
    n = 1;
    for (const char *p = file->text; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lines[n++] = (uint32_t)(p + 1 - file->text);
    file->lines = lines;
    file->n_lines = n;
    return 0;
}

static int refuse_too_long(const struct pv_sources *sources, uint64_t len)
{
    return len > (sources->limit ? sources->limit : PV_SOURCE_LIMIT) ? PV_E_LIMIT : 0;
}

static int add(struct pv_sources *sources, struct pv_source_file *file, uint32_t *index, uint32_t *at)
{
    struct pv_source_file **files = pv_arena_grow(sources->arena, sources->files, sources->n_files, &sources->capacity,
                                                  (size_t)sources->n_files + 1, sizeof *files);
    if (!files)
        return PV_E_NOMEM;
    sources->files = files;
    int rc = index_lines(sources->arena, file);
    if (rc)
        return rc;
    *index = sources->n_files;
    sources->files[sources->n_files++] = file;
    size_t good = pv_utf8_check(file->text, file->len);
    if (good < file->len) {
        *at = (uint32_t)good;
        file->refused = true;
        return PV_E_SYNTAX;
    }
    return 0;
}

int pv_sources_add_text(struct pv_sources *sources, const char *path, const char *text, size_t len, uint32_t *file,
                        uint32_t *at)
{
    *file = PV_NO_FILE;
    *at = 0;
    int rc = refuse_too_long(sources, len);
    if (rc)
        return rc;
    struct pv_source_file *added = PV_NEW(sources->arena, struct pv_source_file);
    char *name = pv_arena_dup(sources->arena, path, strlen(path));
    char *copy = pv_arena_dup(sources->arena, text, len);
    if (!added || !name || !copy)
        return PV_E_NOMEM;
    *added = (struct pv_source_file){.path = name, .text = copy, .len = (uint32_t)len};
    return add(sources, added, file, at);
}

/* Reads a descriptor to its end into one buffer of the arena. The size that stat() tells is only a first guess: the
 * file may be growing, or be a pipe on standard input. */
static int read_all(struct pv_sources *sources, int fd, size_t guess, char **text, size_t *len)
{
    size_t capacity = 0, n = 0;
    char *buffer = pv_arena_grow(sources->arena, NULL, 0, &capacity, guess + 2, 1);
    for (;;) {
        if (!buffer)
            return PV_E_NOMEM;
        ssize_t got = read(fd, buffer + n, capacity - n - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return PV_E_IO;
        n += (size_t)got;
        int rc = refuse_too_long(sources, n);
        if (rc)
            return rc;
        if (got == 0)
            break;
        if (n + 1 == capacity)
            buffer = pv_arena_grow(sources->arena, buffer, n, &capacity, capacity + 1, 1);
    }
    buffer[n] = '\0';
    *text = buffer;
    *len = n;
    return 0;
}

/* The allocations of a read may leave through the arena's guard, which must not cost a descriptor: with the guard off
 * they return NULL. */
static int read_descriptor(struct pv_sources *sources, int fd, const struct stat *status, char **text, size_t *len)
{
    int rc = S_ISREG(status->st_mode) ? refuse_too_long(sources, (uint64_t)status->st_size) : 0;
    if (rc)
        return rc;
    jmp_buf *guard = pv_arena_guard(sources->arena, NULL);
    rc = read_all(sources, fd, S_ISREG(status->st_mode) ? (size_t)status->st_size : 4096, text, len);
    pv_arena_guard(sources->arena, guard);
    return rc;
}

int pv_sources_add_file(struct pv_sources *sources, const char *path, const char *location, uint32_t *file,
                        uint32_t *at)
{
    *file = PV_NO_FILE;
    *at = 0;
    struct pv_source_file *added = PV_NEW(sources->arena, struct pv_source_file);
    char *name = pv_arena_dup(sources->arena, path, strlen(path));
    char *opened = pv_arena_dup(sources->arena, location, strlen(location));
    if (!added || !name || !opened)
        return PV_E_NOMEM;

    bool standard_input = strcmp(location, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(location, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return PV_E_IO;
    struct stat status;
    char *text = NULL;
    size_t len = 0;
    int rc = 0;
    if (fstat(fd, &status)) {
        rc = PV_E_IO;
    } else if (!standard_input && !S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        rc = PV_E_IO;
    } else {
        rc = read_descriptor(sources, fd, &status, &text, &len);
    }
    int saved = errno;
    if (!standard_input)
        close(fd);
    errno = saved;
    if (rc == PV_E_NOMEM)
        pv_arena_alloc(sources->arena, SIZE_MAX); /* goes to the guard, where there is one */
    if (rc)
        return rc;
    *added = (struct pv_source_file){.path = name,
                                     .location = opened,
                                     .text = text,
                                     .len = (uint32_t)len,
                                     .device = (uint64_t)status.st_dev,
                                     .inode = (uint64_t)status.st_ino};
    return add(sources, added, file, at);
}

const struct pv_source_file *pv_sources_file(const struct pv_sources *sources, uint32_t file)
{
    return file < sources->n_files ? sources->files[file] : NULL;
}

struct pv_place pv_sources_place(const struct pv_sources *sources, uint32_t file, uint32_t offset)
{
    struct pv_source_file *source = file < sources->n_files ? sources->files[file] : NULL;
    if (!source)
        return (struct pv_place){"", 0, 0};
    if (offset > source->len)
        offset = source->len;
    uint32_t low = 0, high = source->n_lines; /* lines[low] <= offset < lines[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (source->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    bool known = source->known_line == low + 1 && source->known_offset <= offset;
    uint32_t column = known ? source->known_column : 1;
    for (uint32_t i = known ? source->known_offset : source->lines[low]; i < offset; i++)
        column += ((unsigned char)source->text[i] & 0xc0) != 0x80;
    source->known_line = low + 1;
    source->known_offset = offset;
    source->known_column = column;
    return (struct pv_place){source->path, low + 1, column};
}

const char *pv_sources_line(const struct pv_sources *sources, uint32_t file, uint32_t line, uint32_t *len)
{
    const struct pv_source_file *source = pv_sources_file(sources, file);
    *len = 0;
    if (!source || line < 1 || line > source->n_lines)
        return "";
    uint32_t start = source->lines[line - 1];
    uint32_t end = line < source->n_lines ? source->lines[line] - 1 : source->len;
    if (end > start && source->text[end - 1] == '\r')
        end--;
    *len = end - start;
    return source->text + start;
}

const char *pv_sources_slice(const struct pv_sources *sources, struct pv_span span, uint32_t *len)
{
    const struct pv_source_file *source = pv_sources_file(sources, span.file);
    *len = 0;
    if (!source || span.start > span.end || span.end > source->len)
        return "";
    *len = span.end - span.start;
    return source->text + span.start;
}
