/* What addons do with external buffers, right and wrong. The few parts of Node-API are declared here, so that no headers are
 * needed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct Env *Env;
typedef struct Value *Value;
typedef void (*Finalize)(Env, void *, void *);
typedef Value (*Callback)(Env, void *);
int napi_create_external_arraybuffer(Env, void *, size_t, Finalize, void *, Value *);
int napi_create_external_buffer(Env, size_t, void *, Finalize, void *, Value *);
int napi_get_cb_info(Env, void *, size_t *, Value *, Value *, void **);
int napi_get_value_double(Env, Value, double *);
int napi_create_function(Env, const char *, size_t, Callback, void *, Value *);
int napi_set_named_property(Env, Value, const char *, Value);
int napi_create_array(Env, Value *);
int napi_set_element(Env, Value, unsigned, Value);
int napi_throw_error(Env, const char *, const char *);
int napi_get_and_clear_last_exception(Env, Value *);
int napi_get_null(Env, Value *);

static size_t byte_length(Env env, void *info) {
  size_t count = 1;
  Value value;
  double number = 0;
  napi_get_cb_info(env, info, &count, &value, NULL, NULL);
  napi_get_value_double(env, value, &number);
  return (size_t)number;
}
static void *memory(size_t byte_length) { return memset(malloc(byte_length), 0x5a, byte_length); }
static void free_it(Env env, void *data, void *hint) { (void)env, (void)hint; free(data); }
static void nothing(Env env, void *data, void *hint) { (void)env, (void)data, (void)hint; }
/* Fills the memory and leaves it mapped, so that script can look at what was freed. */
static void poison(Env env, void *data, void *hint) { (void)env; memset(data, 0xdd, (size_t)hint); }

#define FUNCTION(name) static Value name(Env env, void *info)

/* (byteLength): an external ArrayBuffer, freed once */
FUNCTION(make) {
  size_t length = byte_length(env, info);
  Value result = NULL;
  napi_create_external_arraybuffer(env, memory(length), length, free_it, NULL, &result);
  return result;
}
/* (byteLength): an external ArrayBuffer whose memory is poisoned when it is freed */
FUNCTION(make_poisoned) {
  size_t length = byte_length(env, info);
  Value result = NULL;
  napi_create_external_arraybuffer(env, memory(length), length, poison, (void *)length, &result);
  return result;
}
/* (byteLength): an external Buffer */
FUNCTION(make_buffer) {
  size_t length = byte_length(env, info);
  Value result = NULL;
  napi_create_external_buffer(env, length, memory(length), free_it, NULL, &result);
  return result;
}
/* (byteLength): an ArrayBuffer by a function that is looked up by its name, as napi-rs 3 does */
FUNCTION(make_by_name) {
  typedef int (*Create)(Env, void *, size_t, Finalize, void *, Value *);
  Create create = (Create)dlsym(dlopen(NULL, RTLD_NOW), "napi_create_external_arraybuffer");
  size_t length = byte_length(env, info);
  Value result = NULL;
  create(env, memory(length), length, free_it, NULL, &result);
  return result;
}
static void free_shared(void *data, void *hint) { (void)hint; free(data); }
/* (byteLength): an external SharedArrayBuffer, null where the host has none */
FUNCTION(make_shared) {
  typedef int (*Create)(Env, void *, size_t, void (*)(void *, void *), void *, Value *);
  Create create = (Create)dlsym(RTLD_DEFAULT, "node_api_create_external_sharedarraybuffer");
  size_t length = byte_length(env, info);
  Value result = NULL;
  napi_get_null(env, &result);
  if (create) create(env, memory(length), length, free_shared, NULL, &result);
  return result;
}
/* (byteLength): an external string */
FUNCTION(make_string) {
  typedef int (*Create)(Env, char *, size_t, Finalize, void *, Value *, bool *);
  Create create = (Create)dlsym(RTLD_DEFAULT, "node_api_create_external_string_latin1");
  size_t length = byte_length(env, info);
  Value result = NULL;
  bool copied = false;
  create(env, memory(length), length, free_it, NULL, &result, &copied);
  return result;
}
static Value twice(Env env, void *data, size_t length, Finalize finalize, void *hint) {
  Value both = NULL, buffer = NULL;
  napi_create_array(env, &both);
  for (unsigned i = 0; i < 2; i++) {
    napi_create_external_arraybuffer(env, data, length, finalize, hint, &buffer);
    napi_set_element(env, both, i, buffer);
  }
  return both;
}
static char table[4096];
/* (): static memory in two buffers, which is right */
FUNCTION(twice_static) { (void)info; return twice(env, table, sizeof table, nothing, NULL); }
static int users;
static void count_down(Env env, void *data, void *hint) { (void)env, (void)hint; if (--users == 0) free(data); }
/* (byteLength): memory in two buffers, freed by the last, which is right */
FUNCTION(twice_counted) {
  size_t length = byte_length(env, info);
  users = 2;
  return twice(env, memory(length), length, count_down, NULL);
}
/* (byteLength): memory in two buffers, and each frees it. glibc ends the process at the second free. */
FUNCTION(twice_freed) {
  size_t length = byte_length(env, info);
  return twice(env, memory(length), length, free_it, NULL);
}
/* (byteLength): makes a buffer while an exception is pending */
FUNCTION(make_while_thrown) {
  size_t length = byte_length(env, info);
  Value result = NULL, thrown = NULL;
  napi_throw_error(env, NULL, "on purpose");
  napi_create_external_arraybuffer(env, memory(length), length, free_it, NULL, &result);
  napi_get_and_clear_last_exception(env, &thrown);
  if (!result) napi_get_null(env, &result);
  return result;
}
static Value make_one(Env env, size_t length) {
  Value result = NULL;
  napi_create_external_arraybuffer(env, memory(length), length, free_it, NULL, &result);
  return result;
}
/* (): a thousand buffers of 64 bytes */
FUNCTION(make_thousand) {
  (void)info;
  Value all = NULL;
  napi_create_array(env, &all);
  for (unsigned i = 0; i < 1000; i++) napi_set_element(env, all, i, make_one(env, 64));
  return all;
}
/* (): buffers without memory */
FUNCTION(make_empty) {
  (void)info;
  Value both = NULL, buffer = NULL;
  napi_create_array(env, &both);
  napi_create_external_arraybuffer(env, NULL, 0, NULL, NULL, &buffer);
  napi_set_element(env, both, 0, buffer);
  napi_create_external_arraybuffer(env, table, 0, nothing, NULL, &buffer);
  napi_set_element(env, both, 1, buffer);
  return both;
}

Value napi_register_module_v1(Env env, Value exports) {
  static const struct { const char *name; Callback function; } all[] = {
    {"make", make}, {"makePoisoned", make_poisoned}, {"makeBuffer", make_buffer}, {"makeByName", make_by_name},
    {"makeShared", make_shared}, {"makeString", make_string}, {"twiceStatic", twice_static}, {"twiceCounted", twice_counted},
    {"twiceFreed", twice_freed}, {"makeWhileThrown", make_while_thrown}, {"makeThousand", make_thousand}, {"makeEmpty", make_empty},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    Value function = NULL;
    napi_create_function(env, all[i].name, (size_t)-1, all[i].function, NULL, &function);
    napi_set_named_property(env, exports, all[i].name, function);
  }
  return exports;
}
