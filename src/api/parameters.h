/* Values of the query, checked. Each answers 400 with what was wrong and returns false when a value is no
 * good.
 */
#ifndef API_PARAMETERS_H
#define API_PARAMETERS_H

#include "api/request.h"

/* Empty when it is not given, and when nothing stands behind the "=". The text lives as long as the
 * connection's request. */
struct slice parameter_text(const struct request *request, const char *name);

/* A path: at most STORE_PATH_MAX bytes. */
bool parameter_path(struct request *request, const char *name, struct slice *ret_path);
bool parameter_domain(struct request *request, const char *name, struct slice *ret_domain);
/* 1..API_LIST_MAX; API_LIST_DEFAULT when not given. */
bool parameter_limit(struct request *request, const char *name, size_t *ret_limit);
/* 1..ADMIN_ROWS_MAX, which it is when not given. */
bool parameter_rows(struct request *request, const char *name, size_t *ret_rows);
/* "1" or "0"; false when not given. */
bool parameter_flag(struct request *request, const char *name, bool *ret_flag);
/* A message id; 0 when not given. */
bool parameter_id(struct request *request, const char *name, uint64_t *ret_id);
/* RFC 3339; 0 when not given. */
bool parameter_time(struct request *request, const char *name, int64_t *ret_wall_ms);

#endif
