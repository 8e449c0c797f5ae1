/* A load generator for streamed answers: posts one body over and over, reads each answer to its end, checks its text.

   load PORT PATH BODY_FILE ANSWER STREAMS REQUESTS RAMP_MS TIMEOUT_S

   STREAMS answers are read at once, REQUESTS in all; the first STREAMS begin within RAMP_MS. ANSWER says what is
   expected (answer.h). The first run of sixteen zeros in the body becomes another number each time: a server answers
   each chat once at a time, and these are different chats. Understands UI message streams, AI SDK 4's data stream, Anthropic's own events and plain
   `data: {"text": …}`; prints one JSON object. */
#define _GNU_SOURCE
#include "answer.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_READY 512
#define MAX_HEAD 16384
#define FNV_START 1469598103934665603ULL
#define FNV_PRIME 1099511628211ULL

enum stage { CONNECTING, IN_HEAD, IN_BODY };
enum chunk_stage { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_CHUNK };

typedef struct {
    int fd, is_live;
    enum stage stage;
    char head[MAX_HEAD];
    size_t head_length;
    int is_chunked, keeps_alive;
    long content_left; /* -1: until the connection closes */
    enum chunk_stage chunk_stage;
    size_t chunk_left;
    char *line;
    size_t line_length, line_capacity;
    uint64_t hash;
    long text_length, deltas, stamp;
    int has_error;
    int64_t began, first_byte, first_delta, last_delta;
} stream;

typedef struct {
    int64_t *values;
    long count, capacity;
} series;

static answer spec;
static uint64_t expected_hash = FNV_START;
static long expected_length;
static char *request, *chat_number; /* where the number stands within the request; NULL when there is none */
static size_t request_size;
static struct sockaddr_in address;
static int poller;
static long wanted, begun, ended, whole, damaged, refused, lost, reads, bytes, chunks, deltas, reading;
static int64_t all_since, first_end; /* when the last answer had its first delta, and when the first one ended */
static series first_byte, first_delta, whole_time, gaps, delays;
static char first_error[400];

static void note_error(const char *text) {
    if (first_error[0]) return;
    snprintf(first_error, sizeof first_error, "%s", text);
    for (char *at = first_error; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ') *at = '\'';
}

static void add(series *to, int64_t value) {
    if (to->count == to->capacity) {
        to->capacity = to->capacity ? to->capacity * 2 : 4096;
        to->values = realloc(to->values, to->capacity * sizeof *to->values);
    }
    to->values[to->count++] = value;
}

static int compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static long quantile(series *of, double share) {
    return of->count ? (long)of->values[(long)((of->count - 1) * share)] : 0;
}

/* ---- the text of a frame ---- */

static void add_text(stream *s, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) s->hash = (s->hash ^ (unsigned char)text[i]) * FNV_PRIME;
    s->text_length += length;
}

static char *skip_space(char *at) {
    while (*at == ' ' || *at == '\t') at++;
    return at;
}

static char *skip_string(char *at) {
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1]) at++;
    return *at ? at + 1 : at;
}

static char *skip_value(char *at) {
    if (*at == '"') return skip_string(at);
    int depth = 0;
    while (*at) {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (!depth && (*at == ',' || *at == '}' || *at == ']')) break;
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
    }
    return at;
}

static int parse_hex(const char *at) {
    char digits[5] = {at[0], at[0] ? at[1] : 0, 0};
    if (at[0] && at[1] && at[2]) memcpy(digits, at, 4);
    return (int)strtol(digits, NULL, 16);
}

static int encode_utf8(int code, char *out) {
    if (code < 0x80) return sprintf(out, "%c", code);
    if (code < 0x800) return sprintf(out, "%c%c", 0xC0 | code >> 6, 0x80 | (code & 63));
    if (code < 0x10000) return sprintf(out, "%c%c%c", 0xE0 | code >> 12, 0x80 | (code >> 6 & 63), 0x80 | (code & 63));
    return sprintf(out, "%c%c%c%c", 0xF0 | code >> 18, 0x80 | (code >> 12 & 63), 0x80 | (code >> 6 & 63), 0x80 | (code & 63));
}

/* Adds the character of an escape sequence; returns where the sequence ends. */
static char *add_escape(stream *s, char *at) {
    static const char NAMES[] = "nrtbf", CHARACTERS[] = "\n\r\t\b\f";
    const char *name = strchr(NAMES, *at);
    if (*at != 'u') {
        add_text(s, name ? CHARACTERS + (name - NAMES) : at, 1);
        return at + 1;
    }
    char utf8[8];
    int code = parse_hex(at + 1);
    at += 5;
    if (code >= 0xD800 && code < 0xDC00 && at[0] == '\\' && at[1] == 'u') {
        code = 0x10000 + ((code - 0xD800) << 10) + (parse_hex(at + 2) - 0xDC00);
        at += 6;
    }
    add_text(s, utf8, encode_utf8(code, utf8));
    return at;
}

/* Adds the JSON string at this place to the answer's text. */
static void add_string(stream *s, char *at) {
    if (spec.kind == 's' && !s->deltas && !s->stamp) {
        s->stamp = strtol(at + 1, NULL, 10);
        char zeros[STAMP_DIGITS];
        memset(zeros, '0', sizeof zeros);
        add_text(s, zeros, sizeof zeros);
        return;
    }
    at++;
    while (*at && *at != '"') {
        size_t plain = strcspn(at, "\\\"");
        add_text(s, at, plain);
        at += plain;
        if (*at == '\\') at = add_escape(s, at + 1);
    }
}

/* The keys that hold an answer's text, in one format or another. */
static int holds_text(const char *key, size_t length) {
    static const char *const KEYS[] = {"delta", "text", "inputTextDelta", "partial_json", "thinking", "argsTextDelta"};
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (strlen(KEYS[i]) == length && !memcmp(KEYS[i], key, length)) return 1;
    return 0;
}

/* Takes the text of a JSON object; returns 1 when it had any. */
static int take_object(stream *s, char *at) {
    char *text = NULL;
    int is_error = 0;
    for (at = skip_space(at + 1); *at == '"';) {
        char *key = at + 1, *end = skip_string(at);
        size_t length = end - key - 1;
        char *value = skip_space(end);
        if (*value != ':') break;
        value = skip_space(value + 1);
        if (length == 4 && !memcmp(key, "type", 4)) is_error = !strncmp(value, "\"error\"", 7);
        if (holds_text(key, length) && *value == '"') text = value;
        if (length == 5 && !memcmp(key, "delta", 5) && *value == '{' && take_object(s, value)) return 1;
        at = skip_space(skip_value(value));
        if (*at == ',') at = skip_space(at + 1);
    }
    if (is_error) s->has_error = 1;
    if (is_error || !text) return 0;
    add_string(s, text);
    return 1;
}

/* Takes one line of the body; returns 1 when it held a delta. */
static int take_line(stream *s, char *line) {
    int has_delta = 0;
    if (!strncmp(line, "data:", 5)) {
        char *data = skip_space(line + 5);
        if (*data == '{') has_delta = take_object(s, data);
    } else if (line[0] && line[1] == ':') {
        char *value = line + 2;
        if ((line[0] == '0' || line[0] == 'g') && *value == '"') {
            add_string(s, value);
            has_delta = 1;
        }
        if (line[0] == 'c') has_delta = take_object(s, value);
        if (line[0] == '3') s->has_error = 1;
    }
    if (s->has_error) note_error(line);
    s->deltas += has_delta;
    return has_delta;
}

/* Takes bytes of the body; returns how many deltas they completed. */
static int take_body(stream *s, const char *data, size_t length) {
    int taken = 0;
    bytes += length;
    if (s->line_length + length + 1 > s->line_capacity) {
        s->line_capacity = (s->line_length + length + 1) * 2;
        s->line = realloc(s->line, s->line_capacity);
    }
    memcpy(s->line + s->line_length, data, length);
    s->line_length += length;
    char *at = s->line, *end = s->line + s->line_length;
    for (char *feed; (feed = memchr(at, '\n', end - at)); at = feed + 1) {
        *feed = 0;
        if (feed > at && feed[-1] == '\r') feed[-1] = 0;
        taken += take_line(s, at);
    }
    s->line_length = end - at;
    memmove(s->line, at, s->line_length);
    return taken;
}

/* ---- HTTP ---- */

static void open_connection(stream *s) {
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    s->stage = CONNECTING;
    connect(s->fd, (struct sockaddr *)&address, sizeof address);
    struct epoll_event events = {.events = EPOLLOUT, .data.ptr = s};
    epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &events);
}

static void number_request(void) {
    static int64_t number;
    char digits[STAMP_DIGITS + 1];
    if (!chat_number) return;
    if (!number) number = now_us(); /* no two runs on one machine use the same */
    sprintf(digits, "%0*lld", STAMP_DIGITS, (long long)number++);
    memcpy(chat_number, digits, STAMP_DIGITS);
}

static void send_request(stream *s) {
    number_request();
    s->stage = IN_HEAD;
    s->head_length = s->line_length = s->chunk_left = 0;
    s->chunk_stage = CHUNK_SIZE;
    s->hash = FNV_START;
    s->text_length = s->deltas = s->stamp = s->has_error = 0;
    s->first_byte = s->first_delta = s->last_delta = 0;
    s->began = now_us();
    if (send(s->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) note_error("the request was not sent whole");
}

static void begin_next(stream *s, int reuses_connection) {
    if (begun == wanted) {
        close(s->fd);
        s->is_live = 0;
        return;
    }
    begun++;
    if (reuses_connection) {
        send_request(s);
    } else {
        close(s->fd);
        open_connection(s);
    }
}

static void lose(stream *s, const char *why) {
    lost++;
    ended++;
    if (!first_end) first_end = now_us();
    note_error(why);
    begin_next(s, 0);
}

static void end_answer(stream *s) {
    int64_t now = now_us();
    ended++;
    if (!first_end) first_end = now;
    if (s->has_error || s->hash != expected_hash || s->text_length != expected_length) {
        char text[200];
        damaged++;
        snprintf(text, sizeof text, "%ld bytes of text in %ld deltas came, %ld were due", s->text_length, s->deltas, expected_length);
        note_error(text);
    } else {
        whole++;
        deltas += s->deltas;
        add(&first_byte, s->first_byte - s->began);
        add(&first_delta, s->first_delta - s->began);
        add(&whole_time, now - s->began);
        if (s->stamp) add(&delays, s->first_delta - s->stamp);
    }
    begin_next(s, s->keeps_alive);
}

/* Reads the head; returns how many of the bytes belong to it, or -1 when the stream was given up. */
static ssize_t take_head(stream *s, const char *data, size_t length) {
    size_t before = s->head_length, room = MAX_HEAD - 1 - before;
    memcpy(s->head + before, data, length < room ? length : room);
    s->head_length += length < room ? length : room;
    s->head[s->head_length] = 0;
    char *end = strstr(s->head, "\r\n\r\n");
    if (!end) return length;
    char status[200];
    snprintf(status, sizeof status, "%.60s %.120s", s->head, end + 4);
    end[2] = 0;
    char *declared = strcasestr(s->head, "\r\ncontent-length:");
    s->is_chunked = strcasestr(s->head, "\r\ntransfer-encoding: chunked") != NULL;
    s->content_left = declared ? atol(declared + 17) : -1;
    s->keeps_alive = strcasestr(s->head, "\r\nconnection: close") == NULL;
    if (strncmp(s->head + 9, "200", 3)) {
        refused++;
        lose(s, status);
        return -1;
    }
    s->stage = IN_BODY;
    return end + 4 - s->head - before;
}

/* Reads chunks; sets *is_end after the last one. Returns the number of deltas. */
static int take_chunks(stream *s, const char *at, const char *end, int *is_end) {
    int taken = 0;
    while (at < end && !*is_end) {
        if (s->chunk_stage == CHUNK_DATA) {
            size_t length = (size_t)(end - at) < s->chunk_left ? (size_t)(end - at) : s->chunk_left;
            taken += take_body(s, at, length);
            at += length;
            s->chunk_left -= length;
            if (!s->chunk_left) s->chunk_stage = CHUNK_END;
            continue;
        }
        char c = *at++;
        if (c == '\n' && s->chunk_stage == LAST_CHUNK) *is_end = 1;
        else if (c == '\n' && s->chunk_stage == CHUNK_END) s->chunk_stage = CHUNK_SIZE;
        else if (c == '\n') s->chunk_stage = s->chunk_left ? CHUNK_DATA : LAST_CHUNK, chunks += s->chunk_left > 0;
        else if (c != '\r' && s->chunk_stage == CHUNK_SIZE)
            s->chunk_left = s->chunk_left * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return taken;
}

static void note_deltas(stream *s, int64_t now) {
    if (!s->first_delta) {
        s->first_delta = now;
        if (++reading == wanted) all_since = now;
    }
    if (s->last_delta && spec.pace_us) add(&gaps, now - s->last_delta);
    s->last_delta = now;
}

static void receive(stream *s) {
    static char data[262144];
    ssize_t length = recv(s->fd, data, sizeof data, 0), head = 0;
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        if (s->stage == IN_BODY && !s->is_chunked && s->content_left < 0) {
            s->keeps_alive = 0;
            end_answer(s);
        } else {
            lose(s, "the connection was closed in the middle of an answer");
        }
        return;
    }
    reads++;
    int64_t now = now_us();
    if (s->stage == IN_HEAD) {
        head = take_head(s, data, length);
        if (head < 0 || s->stage == IN_HEAD) return;
    }
    if (length > head && !s->first_byte) s->first_byte = now;
    int is_end = 0, taken;
    if (s->is_chunked) {
        taken = take_chunks(s, data + head, data + length, &is_end);
    } else {
        taken = take_body(s, data + head, length - head);
        if (s->content_left >= 0) is_end = (s->content_left -= length - head) <= 0;
    }
    if (taken) note_deltas(s, now);
    if (is_end) end_answer(s);
}

static void handle(stream *s) {
    if (!s->is_live) return;
    if (s->stage != CONNECTING) {
        receive(s);
        return;
    }
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        lose(s, strerror(error));
        return;
    }
    struct epoll_event events = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &events);
    send_request(s);
}

/* ---- the run ---- */

static void run(int stream_count, int64_t ramp_us, int64_t timeout_us) {
    stream *streams = calloc(stream_count, sizeof *streams);
    struct epoll_event ready[MAX_READY];
    int64_t start = now_us();
    int open = 0;
    while (ended < wanted && now_us() < start + timeout_us) {
        while (open < stream_count && now_us() >= start + ramp_us * open / stream_count) {
            streams[open].is_live = 1;
            begun++;
            open_connection(&streams[open++]);
        }
        int count = epoll_wait(poller, ready, MAX_READY, open < stream_count ? 1 : 100);
        for (int i = 0; i < count; i++) handle(ready[i].data.ptr);
    }
}

static void print_series(const char *name, series *of) {
    qsort(of->values, of->count, sizeof *of->values, compare);
    printf(",\"%s_us\":{\"p50\":%ld,\"p99\":%ld,\"max\":%ld}", name, quantile(of, 0.5), quantile(of, 0.99), quantile(of, 1));
}

static void print_result(double seconds) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"requests\":%ld,\"whole\":%ld,\"damaged\":%ld,\"refused\":%ld,\"lost\":%ld,\"unfinished\":%ld,"
           "\"wall_s\":%.6f,\"load_cpu_s\":%.6f,\"bytes\":%ld,\"reads\":%ld,\"chunks\":%ld,\"frames\":%ld,\"deltas\":%ld"
           ",\"all_since_us\":%lld,\"first_end_us\":%lld",
           wanted, whole, damaged, refused, lost, wanted - ended, seconds,
           usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           bytes, reads, chunks, deltas, whole * spec.deltas, (long long)all_since, (long long)first_end);
    print_series("first_byte", &first_byte);
    print_series("first_delta", &first_delta);
    print_series("whole_answer", &whole_time);
    print_series("gap", &gaps);
    print_series("delay", &delays);
    printf(",\"first_error\":\"%s\"}\n", first_error);
}

static void make_request(const char *port, const char *path, const char *body_file) {
    FILE *file = fopen(body_file, "rb");
    if (!file) {
        perror(body_file);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    request = malloc(length + 1024);
    request_size = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\n"
                                    "Accept: */*\r\nUser-Agent: load\r\nAuthorization: Bearer load-key\r\n"
                                    "Content-Length: %ld\r\n\r\n", path, port, length);
    request_size += fread(request + request_size, 1, length, file);
    request[request_size] = 0;
    fclose(file);
    chat_number = strstr(request, "0000000000000000");
}

int main(int argc, char **argv) {
    if (argc != 9 || parse_answer(argv[4], &spec)) {
        fprintf(stderr, "load PORT PATH BODY_FILE ANSWER STREAMS REQUESTS RAMP_MS TIMEOUT_S\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    stream expected = {.hash = FNV_START};
    for (long i = 0; i < spec.deltas; i++) {
        char text[MAX_DELTA];
        add_text(&expected, text, delta_text(&spec, i, text));
    }
    expected_hash = expected.hash;
    expected_length = expected.text_length;
    make_request(argv[1], argv[2], argv[3]);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    poller = epoll_create1(0);
    wanted = atol(argv[6]);
    int streams = atoi(argv[5]) < wanted ? atoi(argv[5]) : (int)wanted;
    int64_t start = now_us();
    run(streams, atol(argv[7]) * 1000, atol(argv[8]) * 1000000);
    print_result((now_us() - start) / 1e6);
    return whole == wanted ? 0 : 1;
}
