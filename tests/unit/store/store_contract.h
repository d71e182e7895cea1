/* One test of the contract of port/store.h, for every implementation of it. */
#ifndef TEST_STORE_CONTRACT_H
#define TEST_STORE_CONTRACT_H

#include "port/store.h"

struct contract_backend {
	const char *name;
	/* A place for a store (a folder, a simulated disk), and the end of it. */
	void *(*make)(void);
	void (*destroy)(void *world);
	struct store *(*open)(void *world);
	/* Ends and starts again on the same place. */
	struct store *(*reopen)(void *world, struct store *store);
	/* Returns when poll has, or may have, something to do. NULL: always. */
	void (*wait)(void *world);
};

/* Runs all tests; the number of those that failed. */
int store_contract(const struct contract_backend *backend);

#endif
