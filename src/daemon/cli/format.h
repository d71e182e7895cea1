/* Figures, instants and strangers' words for people.
 */
#ifndef DAEMON_CLI_FORMAT_H
#define DAEMON_CLI_FORMAT_H

#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/slice.h"

enum { FORMAT_SIZE = 40 };

/* "45 s", "12 min 03 s", "4 h 05 min", "3 d 04 h". Negative: "0 s". */
const char *format_duration(int64_t seconds, char ret_text[FORMAT_SIZE]);
/* "512 B", "1.2 GiB". */
const char *format_bytes(uint64_t bytes, char ret_text[FORMAT_SIZE]);
/* "1,234,567". */
const char *format_count(uint64_t count, char ret_text[FORMAT_SIZE]);
/* "120", "12.5", "0.04". */
const char *format_rate(double rate, char ret_text[FORMAT_SIZE]);
/* RFC 3339 as the API writes it -> "2026-12-01 10:00:00" in local time; what is no time stays as it is. */
const char *format_local(const char *rfc3339, char ret_text[FORMAT_SIZE]);

/* "90s", "30m", "2h", "3d", "1w" from now_ms on (sign 1) or back (sign -1), or an instant: local time unless
 * it has a zone. ERR_SYNTAX. */
nodiscard int parse_when(const char *text, int64_t now_ms, int sign, int64_t *ret_wall_ms);

/* Writes words that came from elsewhere: control characters, which could drive the terminal, become '?'. */
void print_safe(FILE *to, const char *text);
/* How many columns print_safe takes (characters; wide ones count as one). */
size_t width_of(const char *text);

/* A bar of so many columns for 0 <= part <= 1. */
void print_bar(FILE *to, double part, unsigned columns);

#endif
