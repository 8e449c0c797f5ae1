/* A stand-in for Anthropic's Messages API that costs next to nothing: streams encoded once, one thread, epoll.

   upstream PORT     serves until it is killed
   upstream --tokens prints the tokens as a JSON array

   Each event is an HTTP chunk of its own, as from the real API; events that are due together leave in one write. */
#define _GNU_SOURCE
#include "answer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SCRIPTS 256
#define MAX_READY 512
#define FRAME_EVENTS 16 /* more than a stream has besides its deltas */

/* One answer as it goes over the wire. */
typedef struct {
    answer spec;
    char *bytes;
    size_t length, capacity;
    size_t *event_ends;
    long events, before_deltas;
    size_t stamp; /* where the first delta's text begins */
} script;

typedef struct {
    int fd;
    char *request;
    size_t received, capacity;
    script *script; /* NULL between two answers */
    size_t sent, allowed;
    long next_event;
    int64_t due;
    int place; /* in the queue of what is due; -1 when not in it */
    int wants_room;
} connection;

static script *scripts[MAX_SCRIPTS];
static int script_count, poller;
static connection **queue; /* a heap: the next one due is first */
static int queue_length, queue_capacity;

static const char HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    "request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
static const char REFUSAL[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 93\r\n\r\n"
    "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"bench:N:PACE is missing\"}}";
static const char MESSAGE_START[] =
    "{\"type\":\"message_start\",\"message\":{\"model\":\"claude-sonnet-4-5-20250929\",\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\","
    "\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"
    "{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_creation\":"
    "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":1,\"service_tier\":\"standard\"}}}";

/* ---- writing an answer ---- */

static void put(script *to, const char *bytes, size_t length) {
    if (to->length + length > to->capacity) {
        to->capacity = (to->length + length) * 2;
        to->bytes = realloc(to->bytes, to->capacity);
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

static void put_event(script *to, const char *name, const char *data) {
    char head[128], size[32];
    int head_length = sprintf(head, "event: %s\ndata: ", name);
    size_t data_length = strlen(data);
    put(to, size, sprintf(size, "%zx\r\n", head_length + data_length + 2));
    put(to, head, head_length);
    put(to, data, data_length);
    put(to, "\n\n\r\n", 4);
    to->event_ends[to->events++] = to->length;
}

static const char *block_start(char kind) {
    switch (kind) {
    case 'r': return "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}";
    case 'j': return "{\"type\":\"tool_use\",\"id\":\"toolu_01T1x1fJ34qAmk2tNTrN7Up6\",\"name\":\"write_file\",\"input\":{}}";
    default: return "{\"type\":\"text\",\"text\":\"\"}";
    }
}

static const char *delta_fields(char kind) {
    switch (kind) {
    case 'r': return "\"type\":\"thinking_delta\",\"thinking\"";
    case 'j': return "\"type\":\"input_json_delta\",\"partial_json\"";
    default: return "\"type\":\"text_delta\",\"text\"";
    }
}

static void put_deltas(script *to) {
    char text[MAX_DELTA], escaped[MAX_DELTA], data[MAX_DELTA + 256];
    for (long i = 0; i < to->spec.deltas; i++) {
        int length = escape_json(text, delta_text(&to->spec, i, text), escaped);
        /* The real API pads its events to hide how long their texts are. */
        sprintf(data, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{%s:\"%.*s\"}%.*s}",
                delta_fields(to->spec.kind), length, escaped, (int)(i * 5 % 11), "          ");
        size_t start = to->length;
        put_event(to, "content_block_delta", data);
        if (to->spec.kind == 's' && i == 0)
            to->stamp = (char *)memmem(to->bytes + start, to->length - start, "\"text\":\"", 8) + 8 - to->bytes;
    }
}

static script *make_script(answer spec) {
    char data[256];
    script *made = calloc(1, sizeof *made);
    made->spec = spec;
    made->event_ends = malloc((spec.deltas + FRAME_EVENTS) * sizeof *made->event_ends);
    put(made, HEAD, sizeof HEAD - 1);
    put_event(made, "message_start", MESSAGE_START);
    sprintf(data, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":%s}", block_start(spec.kind));
    put_event(made, "content_block_start", data);
    put_event(made, "ping", "{\"type\": \"ping\"}");
    made->before_deltas = made->events;
    put_deltas(made);
    if (spec.kind == 'r')
        put_event(made, "content_block_delta",
                  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                  "{\"type\":\"signature_delta\",\"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h\"}}");
    put_event(made, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
    sprintf(data, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},"
                  "\"usage\":{\"output_tokens\":%ld}}", spec.kind == 'j' ? "tool_use" : "end_turn", spec.deltas);
    put_event(made, "message_delta", data);
    put_event(made, "message_stop", "{\"type\":\"message_stop\"}");
    put(made, "0\r\n\r\n", 5);
    made->event_ends[made->events - 1] = made->length;
    return made;
}

static script *find_script(answer spec) {
    for (int i = 0; i < script_count; i++) {
        answer *known = &scripts[i]->spec;
        if (known->deltas == spec.deltas && known->pace_us == spec.pace_us && known->kind == spec.kind &&
            known->width == spec.width)
            return scripts[i];
    }
    script *made = make_script(spec);
    if (script_count < MAX_SCRIPTS) scripts[script_count++] = made;
    return made;
}

/* ---- what is due next ---- */

static void place(int at, connection *c) {
    queue[at] = c;
    c->place = at;
}

static void move_up(int at) {
    connection *c = queue[at];
    while (at > 0 && queue[(at - 1) / 2]->due > c->due) {
        place(at, queue[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(at, c);
}

static void move_down(int at) {
    connection *c = queue[at];
    for (int child; (child = 2 * at + 1) < queue_length; at = child) {
        if (child + 1 < queue_length && queue[child + 1]->due < queue[child]->due) child++;
        if (queue[child]->due >= c->due) break;
        place(at, queue[child]);
    }
    place(at, c);
}

static void enqueue(connection *c) {
    if (queue_length == queue_capacity) {
        queue_capacity = queue_capacity ? queue_capacity * 2 : 1024;
        queue = realloc(queue, queue_capacity * sizeof *queue);
    }
    place(queue_length, c);
    move_up(queue_length++);
}

static void dequeue(connection *c) {
    int at = c->place;
    if (at < 0) return;
    c->place = -1;
    if (at == --queue_length) return;
    place(at, queue[queue_length]);
    move_up(at);
    move_down(queue[at]->place);
}

/* ---- connections ---- */

static void close_connection(connection *c) {
    dequeue(c);
    close(c->fd);
    free(c->request);
    free(c);
}

static void ask_for_room(connection *c, int wanted) {
    if (c->wants_room == wanted) return;
    c->wants_room = wanted;
    struct epoll_event events = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &events);
}

static int take_request(connection *c);

static void stamp_first_delta(connection *c) {
    script *s = c->script;
    char digits[STAMP_DIGITS + 1];
    if (s->spec.kind != 's' || c->sent > s->stamp || c->allowed <= s->stamp) return;
    sprintf(digits, "%0*lld", STAMP_DIGITS, (long long)now_us());
    memcpy(s->bytes + s->stamp, digits, STAMP_DIGITS);
}

/* Sends what is allowed by now; returns -1 when the connection is gone. */
static int pump(connection *c) {
    if (c->script) stamp_first_delta(c);
    while (c->script && c->sent < c->allowed) {
        ssize_t sent = send(c->fd, c->script->bytes + c->sent, c->allowed - c->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            ask_for_room(c, 1);
            return 0;
        }
        if (sent < 0) {
            close_connection(c);
            return -1;
        }
        c->sent += sent;
    }
    ask_for_room(c, 0);
    if (c->script && c->sent == c->script->length) {
        c->script = NULL;
        if (c->received) return take_request(c);
    }
    return 0;
}

static char *find_header(char *head, size_t length, const char *name) {
    for (char *at = head; at + strlen(name) <= head + length; at++)
        if (!strncasecmp(at, name, strlen(name))) return at + strlen(name);
    return NULL;
}

/* The length of the first request that has come whole; 0 when none has. */
static size_t request_length(connection *c, size_t *head_length) {
    char *end = memmem(c->request, c->received, "\r\n\r\n", 4);
    if (!end) return 0;
    *head_length = end - c->request + 4;
    size_t length = *head_length;
    char *declared = find_header(c->request, *head_length, "\r\ncontent-length:");
    if (declared) {
        length += strtoul(declared, NULL, 10);
    } else if (find_header(c->request, *head_length, "\r\ntransfer-encoding:")) {
        char *last = memmem(c->request + length, c->received - length, "0\r\n\r\n", 5);
        if (!last) return 0;
        length = last - c->request + 5;
    }
    return length <= c->received ? length : 0;
}

static int answer_request(connection *c, answer spec) {
    c->script = find_script(spec);
    c->sent = 0;
    c->allowed = c->script->length;
    if (spec.pace_us) {
        c->next_event = c->script->before_deltas;
        c->allowed = c->script->event_ends[c->next_event - 1];
        c->due = now_us() + spec.pace_us;
        enqueue(c);
    }
    return pump(c);
}

/* Answers the next request, if it is whole; returns -1 when the connection is gone. */
static int take_request(connection *c) {
    size_t head_length, length = c->script ? 0 : request_length(c, &head_length);
    if (!length) return 0;
    answer spec;
    char *body = c->request + head_length, *words = memmem(body, length - head_length, "bench:", 6);
    if (!words || parse_answer(words, &spec)) {
        send(c->fd, REFUSAL, sizeof REFUSAL - 1, MSG_NOSIGNAL);
        close_connection(c);
        return -1;
    }
    /* A server that has run the tool asks for what comes next: nothing more. */
    if (spec.kind == 'j' && memmem(body, length - head_length, "\"tool_result\"", 13)) spec = (answer){0, 0, 't', 1};
    memmove(c->request, c->request + length, c->received - length);
    c->received -= length;
    return answer_request(c, spec);
}

static int receive(connection *c) {
    static char bytes[65536];
    ssize_t length = recv(c->fd, bytes, sizeof bytes, 0);
    if (length < 0 && errno == EAGAIN) return 0;
    if (length <= 0) {
        close_connection(c);
        return -1;
    }
    if (c->received + length + 1 > c->capacity) {
        c->capacity = (c->received + length + 1) * 2;
        c->request = realloc(c->request, c->capacity);
    }
    memcpy(c->request + c->received, bytes, length);
    c->received += length;
    c->request[c->received] = 0;
    return take_request(c);
}

static void accept_all(int listener) {
    int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->place = -1;
        struct epoll_event events = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &events);
    }
}

static void send_due(void) {
    int64_t now = now_us();
    while (queue_length && queue[0]->due <= now) {
        connection *c = queue[0];
        script *s = c->script;
        long end = c->next_event + 1;
        if (end >= s->before_deltas + s->spec.deltas) end = s->events;
        c->next_event = end;
        c->allowed = s->event_ends[end - 1];
        if (end == s->events) {
            dequeue(c);
        } else {
            c->due += s->spec.pace_us;
            move_down(0);
        }
        pump(c);
    }
}

static void serve(connection *c, uint32_t events) {
    if (events & (EPOLLHUP | EPOLLERR)) {
        close_connection(c);
        return;
    }
    if (events & EPOLLIN && receive(c) < 0) return;
    if (events & EPOLLOUT) pump(c);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static void print_tokens(void) {
    for (int i = 0; i < 64; i++) {
        char escaped[32];
        int length = escape_json(TOKENS[i], (int)strlen(TOKENS[i]), escaped);
        printf("%s\"%.*s\"", i ? "," : "[", length, escaped);
    }
    puts("]");
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--tokens")) {
        print_tokens();
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "upstream PORT | --tokens\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_on(atoi(argv[1]));
    poller = epoll_create1(0);
    struct epoll_event ready[MAX_READY], events = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &events);
    for (;;) {
        struct timespec wait = {0};
        if (queue_length) {
            int64_t left = queue[0]->due - now_us();
            if (left > 0) wait = (struct timespec){left / 1000000, left % 1000000 * 1000};
        }
        int count = epoll_pwait2(poller, ready, MAX_READY, queue_length ? &wait : NULL, NULL);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr) serve(ready[i].data.ptr, ready[i].events);
            else accept_all(listener);
        }
        send_due();
    }
}
