/* What the stand-in for Anthropic's API says and the load generator expects: both make it from the same few words.

   A request names its answer somewhere in its body: bench:DELTAS:PACE_US[:KIND[:WIDTH]]
     PACE_US  microseconds from one delta to the next; 0: as fast as it is read
     KIND     t text · r reasoning · j the input of a tool · s text whose first delta tells when it was sent
     WIDTH    tokens in a delta, 1 by default

   A token has about four characters; of 64, two need escapes in JSON, two are not ASCII, one is an emoji. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_WIDTH 64
#define MAX_DELTA 2048 /* bytes of the widest delta, escaped twice */
#define STAMP_DIGITS 16

typedef struct {
    long deltas;
    long pace_us;
    char kind;
    int width;
} answer;

static const char *const TOKENS[64] = {
    "The",   " qui",  "ck b",  "rown",  " fox",      " jum",  "ps o",  "ver ",  " the",  " laz",  "y do",
    "g an",  "d th",  "en i",  "t is",  ".\n\n",     "Lets",  " see",  " how",  " \"x\"", " it g", "oes ",
    "with",  " des",  "cr\xc3\xa9" "e", " 123",      " and",  " 4.5",  "% of",  " all",  " the ", "end.", " Now",
    " for",  " som",  "e co",  "de: ",  "def ",      " f(x",  "):\n ", " ret",  "urn ",  "x * ",  "2 # ",
    "ok, ",  "done",  " \xf0\x9f\x98\x80 ", "and ",  " we ",  "go o",  "n to",  " tal",  "k ab",  "out ",
    "the ",  "na\xc3\xafve", "ty o", "f it", ", so", " to ",  "spea",  "k - ",  "fine",  ". "};

/* Returns 0, or -1 when text does not begin with the words above. */
static inline int parse_answer(const char *text, answer *parsed) {
    char *rest;
    *parsed = (answer){.kind = 't', .width = 1};
    if (strncmp(text, "bench:", 6)) return -1;
    parsed->deltas = strtol(text + 6, &rest, 10);
    if (*rest != ':' || parsed->deltas < 1) return -1;
    parsed->pace_us = strtol(rest + 1, &rest, 10);
    if (rest[0] == ':' && rest[1]) {
        parsed->kind = rest[1];
        rest += 2;
        if (*rest == ':') parsed->width = (int)strtol(rest + 1, &rest, 10);
    }
    if (!strchr("trjs", parsed->kind) || parsed->width < 1 || parsed->width > MAX_WIDTH) return -1;
    return 0;
}

/* Writes length bytes of text as the inside of a JSON string; returns how many bytes that takes. */
static inline int escape_json(const char *text, int length, char *out) {
    int n = 0;
    for (int i = 0; i < length; i++) {
        char c = text[i];
        if (c == '"' || c == '\\' || c == '\n') out[n++] = '\\';
        out[n++] = c == '\n' ? 'n' : c;
    }
    return n;
}

/* Writes the text of a delta, unescaped; returns its length. */
static inline int delta_text(const answer *spec, long index, char *out) {
    if (spec->kind == 's' && index == 0) return sprintf(out, "%0*d", STAMP_DIGITS, 0);
    if (spec->kind == 'j' && index == 0) return sprintf(out, "{\"path\":\"a.txt\",\"content\":\"");
    if (spec->kind == 'j' && index == spec->deltas - 1) return sprintf(out, "\"}");
    int n = 0;
    for (long i = index * spec->width; i < (index + 1) * spec->width; i++) {
        const char *token = TOKENS[(i * 7 + i / 64) & 63];
        int length = (int)strlen(token);
        if (spec->kind == 'j') {
            n += escape_json(token, length, out + n);
        } else {
            memcpy(out + n, token, length);
            n += length;
        }
    }
    return n;
}

static inline int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

#endif
