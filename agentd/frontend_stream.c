/*
 * A command's output and progress, read from files that grow. The runner writes files and not pipes, so that nothing
 * here, nor the client behind it, can make a package manager wait; the files are read at the client's pace from where
 * the last message ended.
 *
 * Output is passed on byte for byte: as "text" where it is UTF-8 without NUL, else as "base64". Of progress only what
 * changed is told.
 */
#include "agentd/frontend.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void pv_front_stream_open(struct pv_front_stream *stream, int output, int progress)
{
    memset(stream, 0, sizeof(*stream));
    stream->output = output;
    stream->progress = progress;
    stream->percent = -1;
}

void pv_front_stream_close(struct pv_front_stream *stream)
{
    if (stream->output >= 0)
        close(stream->output);
    if (stream->progress >= 0)
        close(stream->progress);
    stream->output = stream->progress = -1;
}

static ssize_t read_at(int fd, char *buffer, size_t size, off_t at)
{
    ssize_t n;
    do
        n = pread(fd, buffer, size, at);
    while (n < 0 && errno == EINTR);
    return n;
}

static int output_message(const char *bytes, size_t len, bool is_text, json_t **out)
{
    if (is_text) {
        *out = json_pack("{s:s, s:o}", "schema", "proviso/output/1", "text", json_stringn(bytes, len));
    } else {
        char base64[PV_BASE64_SIZE(PV_FRONT_CHUNK)];
        pv_base64_encode(base64, (const uint8_t *)bytes, len);
        *out = json_pack("{s:s, s:s}", "schema", "proviso/output/1", "base64", base64);
    }
    return *out ? 1 : PV_E_MESSAGE_NOMEM;
}

static int next_output(struct pv_front_stream *stream, bool last, json_t **out)
{
    char chunk[PV_FRONT_CHUNK];
    size_t len = stream->n_carry;
    memcpy(chunk, stream->carry, len);
    ssize_t n = read_at(stream->output, chunk + len, sizeof(chunk) - len, stream->output_at);
    if (n < 0)
        return PV_E_MESSAGE_SYSTEM;
    if (n == 0 && (len == 0 || !last))
        return 0;
    stream->output_at += n;
    len += (size_t)n;
    stream->n_carry = 0;
    bool cut;
    size_t valid = pv_utf8_prefix(chunk, len, &cut);
    if (cut && n > 0 && valid < len) {
        /* The rest is less than one character, so it fits. A file that ends with it gives it out in the next call. */
        stream->n_carry = len - valid;
        memcpy(stream->carry, chunk + valid, stream->n_carry);
        if (valid == 0)
            return next_output(stream, last, out);
        return output_message(chunk, valid, true, out);
    }
    return output_message(chunk, len, valid == len, out);
}

bool pv_front_status_line(const char *line, const char **kind, size_t *kind_len, double *percent, const char **text)
{
    const char *colon = strchr(line, ':');
    if (!colon || (strncmp(line, "pmstatus:", 9) != 0 && strncmp(line, "dlstatus:", 9) != 0))
        return false;
    *kind = line;
    *kind_len = (size_t)(colon - line);
    /* kind:subject:percent:text. A subject may hold colons itself ("libc6:amd64"), so the percentage is the first field
     * after it that is a number and nothing else. */
    for (const char *field = strchr(colon + 1, ':'); field; field = strchr(field + 1, ':')) {
        if (field[1] < '0' || field[1] > '9')
            continue;
        char *end;
        double value = strtod(field + 1, &end);
        if (*end == ':' && isfinite(value) && value <= 100.0) {
            *percent = value;
            *text = end + 1;
            return true;
        }
    }
    return false;
}

static int progress_message(struct pv_front_stream *stream, json_t **out)
{
    const char *kind, *text;
    size_t kind_len;
    double percent;
    if (!pv_front_status_line(stream->line, &kind, &kind_len, &percent, &text))
        return 0;
    int whole = (int)percent;
    char shown[sizeof(stream->text)];
    snprintf(shown, sizeof(shown), "%s", text);
    if (whole == stream->percent && strcmp(shown, stream->text) == 0)
        return 0;
    stream->percent = whole;
    memcpy(stream->text, shown, sizeof(shown));
    const char *phase = strncmp(kind, "dl", 2) == 0 ? "fetching" : "running";
    *out = json_pack("{s:s, s:s, s:i, s:o}", "schema", "proviso/progress/1", "phase", phase, "percent", whole, "text",
                     pv_front_string(shown, strlen(shown)));
    return *out ? 1 : PV_E_MESSAGE_NOMEM;
}

/* Reads on until a line gives something to tell, or the file has no more. */
static int next_progress(struct pv_front_stream *stream, json_t **out)
{
    char chunk[1024];
    for (;;) {
        ssize_t n = read_at(stream->progress, chunk, sizeof(chunk), stream->progress_at);
        if (n < 0)
            return PV_E_MESSAGE_SYSTEM;
        if (n == 0)
            return 0;
        for (ssize_t i = 0; i < n; i++) {
            stream->progress_at++;
            char c = chunk[i];
            if (c != '\n') {
                if (c == '\0' || stream->n_line + 1 >= sizeof(stream->line))
                    stream->skip_line = true;
                else
                    stream->line[stream->n_line++] = c;
                continue;
            }
            stream->line[stream->n_line] = '\0';
            bool skip = stream->skip_line;
            stream->n_line = 0;
            stream->skip_line = false;
            int result = skip ? 0 : progress_message(stream, out);
            if (result)
                return result;
        }
    }
}

int pv_front_stream_next(struct pv_front_stream *stream, bool last, json_t **out)
{
    *out = NULL;
    int result = 0;
    if (stream->progress >= 0)
        result = next_progress(stream, out);
    if (result == 0 && stream->output >= 0)
        result = next_output(stream, last, out);
    return result;
}
