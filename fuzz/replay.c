/* Runs a fuzz target once over each file of the folders given: the corpus as a test, with any compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { INPUT_MAX = 1024 * 1024 };

static bool run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = file != NULL ? malloc(INPUT_MAX) : NULL;

	if (bytes == NULL) {
		if (file != NULL)
			(void)fclose(file);
		(void)fprintf(stderr, "cannot read %s\n", path);
		return false;
	}
	size_t size = fread(bytes, 1, INPUT_MAX, file);
	(void)fclose(file);
	/* Memory of exactly the size, so that reading beyond it is found. */
	uint8_t *exact = realloc(bytes, size > 0 ? size : 1);
	bytes = exact != NULL ? exact : bytes;
	(void)LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	return true;
}

static bool is_file(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* How many files were run; -1 when the folder or a file cannot be read. */
static int run_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	int count = 0;

	if (dir == NULL) {
		(void)fprintf(stderr, "cannot open %s\n", folder);
		return -1;
	}
	for (const struct dirent *entry = readdir(dir); entry != NULL && count >= 0; entry = readdir(dir)) {
		char path[4096];
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (is_file(path))
			count = run_file(path) ? count + 1 : -1;
	}
	(void)closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int count = run_folder(argv[i]);
		if (count < 0)
			return 1;
		total += count;
	}
	(void)printf("%d inputs\n", total);
	return total > 0 ? 0 : 1; /* a corpus that got lost is not a pass */
}
