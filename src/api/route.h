/* Which handler answers which method and path.
 */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/request.h"

enum { ROUTE_PARAMETERS_MAX = 6 };

struct route {
	const char *method; /* GET answers HEAD too */
	const char *path;   /* a segment "*" matches any and becomes the request's subject */
	request_handler *handle;
	const char *parameters[ROUTE_PARAMETERS_MAX]; /* of the query; others are refused, so that a typing
							 error shows */
	bool open;				      /* needs no token */
};

/* Sets request->route and subject. False: it was answered with 404 or 405. */
bool route_find(struct request *request, const char *method, const char *path);

/* Checks the query's names against the route, each at most once. False: it was answered with 400. */
bool route_check_query(struct request *request);

#endif
