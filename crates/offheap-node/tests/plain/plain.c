/* The controls: what an addon on plain Node-API does, with the functions that tests/addon has too. Its memory is filled with
 * 0xDD when a finalizer frees it, and stays mapped, so that a use after free shows. The scenarios must fail with it where
 * expectations.mjs says so. */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <dlfcn.h>
#include <node_api.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 8192, HELD = 8192, ARGUMENTS = 3, POISON = 0xdd };

/* What script has made under each id: its memory, and how often a finalizer freed it. */
static struct { unsigned char *_Atomic data; size_t byte_length; atomic_int freed; } made[IDS];
static atomic_llong heap_bytes;

static void give_back(void *hint) {
  size_t id = (size_t)hint;
  memset(made[id].data, POISON, made[id].byte_length);
  /* For tools that check the allocator: really freed, and then `written` cannot look at it. */
  if (getenv("OFFHEAP_TEST_FREES")) free(made[id].data);
  atomic_fetch_add(&made[id].freed, 1);
}
static void finalize(napi_env env, void *data, void *hint) { (void)env, (void)data; give_back(hint); }
static void finalize_shared(void *data, void *hint) { (void)data; give_back(hint); }
static void finalize_heap(napi_env env, void *data, void *hint) {
  (void)env;
  free(data);
  atomic_fetch_sub(&heap_bytes, (long long)(size_t)hint);
}
static unsigned char *memory(size_t id, size_t byte_length, int byte) {
  unsigned char *data = byte_length ? malloc(byte_length) : NULL;
  memset(data, byte, byte_length);
  made[id].byte_length = byte_length;
  return made[id].data = data;
}

/* What addons do to keep the memory of a buffer: a strong reference, and the pointer. */
static struct { unsigned char *data; size_t byte_length; napi_ref reference; napi_env env; } held[HELD];
static atomic_size_t held_count;

typedef struct { napi_value value[ARGUMENTS]; size_t number[ARGUMENTS]; } Arguments;
static Arguments arguments(napi_env env, napi_callback_info info) {
  Arguments of = {0};
  size_t count = ARGUMENTS;
  napi_get_cb_info(env, info, &count, of.value, NULL, NULL);
  for (size_t i = 0; i < ARGUMENTS; i++) {
    double number = 0;
    if (i < count && napi_get_value_double(env, of.value[i], &number) == napi_ok) of.number[i] = (size_t)number;
  }
  return of;
}
static napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}
static napi_value text(napi_env env, const char *value) {
  napi_value result = NULL;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}
static napi_value failed(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}
#define FUNCTION(name) static napi_value name(napi_env env, napi_callback_info info)

/* (id, byteLength, byte): an external ArrayBuffer */
FUNCTION(expose) {
  Arguments of = arguments(env, info);
  napi_value buffer = NULL;
  unsigned char *data = memory(of.number[0], of.number[1], (int)of.number[2]);
  napi_create_external_arraybuffer(env, data, of.number[1], finalize, (void *)of.number[0], &buffer);
  return buffer;
}
/* (id, byteLength, byte): an external SharedArrayBuffer, where the host has the function */
FUNCTION(expose_shared) {
  typedef napi_status (*Create)(napi_env, void *, size_t, void (*)(void *, void *), void *, napi_value *);
  Create create = (Create)dlsym(RTLD_DEFAULT, "node_api_create_external_sharedarraybuffer");
  if (!create) return failed(env, "lacks: node_api_create_external_sharedarraybuffer");
  Arguments of = arguments(env, info);
  napi_value buffer = NULL;
  unsigned char *data = memory(of.number[0], of.number[1], (int)of.number[2]);
  create(env, data, of.number[1], finalize_shared, (void *)of.number[0], &buffer);
  return buffer;
}
/* (id, byteLength, byte): one pointer in two buffers */
FUNCTION(expose_twice) {
  Arguments of = arguments(env, info);
  napi_value both = NULL;
  unsigned char *data = memory(of.number[0], of.number[1], (int)of.number[2]);
  napi_create_array(env, &both);
  for (uint32_t i = 0; i < 2; i++) {
    napi_value buffer = NULL;
    napi_create_external_arraybuffer(env, data, of.number[1], finalize, (void *)of.number[0], &buffer);
    napi_set_element(env, both, i, buffer);
  }
  return both;
}
/* (byteLength): a buffer over memory of malloc that nobody wrote, freed by its finalizer */
FUNCTION(expose_heap) {
  Arguments of = arguments(env, info);
  napi_value buffer = NULL;
  void *data = malloc(of.number[0]);
  atomic_fetch_add(&heap_bytes, (long long)of.number[0]);
  napi_create_external_arraybuffer(env, data, of.number[0], finalize_heap, (void *)of.number[0], &buffer);
  return buffer;
}
/* (): bytes of `expose_heap` that no finalizer has freed */
FUNCTION(kept) { (void)info; return number(env, (double)atomic_load(&heap_bytes)); }
/* (id): how often the memory was freed */
FUNCTION(freed) { return number(env, atomic_load(&made[arguments(env, info).number[0]].freed)); }
/* (id): bytes that were written after the memory was freed */
FUNCTION(written) {
  size_t id = arguments(env, info).number[0], count = 0;
  if (atomic_load(&made[id].freed) && !getenv("OFFHEAP_TEST_FREES"))
    for (size_t i = 0; i < made[id].byte_length; i++) count += made[id].data[i] != POISON;
  return number(env, (double)count);
}
/* (buffer or view): holds its memory, and returns a number for it */
FUNCTION(hold) {
  Arguments of = arguments(env, info);
  size_t id = atomic_fetch_add(&held_count, 1), length = 0, offset = 0;
  void *data = NULL;
  bool is = false;
  if (napi_is_typedarray(env, of.value[0], &is) == napi_ok && is) {
    napi_typedarray_type type;
    napi_get_typedarray_info(env, of.value[0], &type, &length, &data, NULL, &offset);
    length *= type <= napi_uint8_clamped_array ? 1 : type <= napi_uint16_array ? 2 : type <= napi_float32_array ? 4 : 8;
  } else if (napi_is_dataview(env, of.value[0], &is) == napi_ok && is) {
    napi_get_dataview_info(env, of.value[0], &length, &data, NULL, &offset);
  } else if (napi_get_arraybuffer_info(env, of.value[0], &data, &length) != napi_ok) {
    return failed(env, "lacks: napi_get_arraybuffer_info of this object");
  }
  held[id].data = data;
  held[id].byte_length = length;
  held[id].env = env;
  napi_create_reference(env, of.value[0], 1, &held[id].reference);
  return number(env, (double)id);
}
/* (held, index): the byte there */
FUNCTION(read) {
  Arguments of = arguments(env, info);
  return number(env, ((volatile unsigned char *)held[of.number[0]].data)[of.number[1]]);
}
/* (held): bytes */
FUNCTION(byte_length) { return number(env, (double)held[arguments(env, info).number[0]].byte_length); }
/* (held): one more buffer over the memory */
FUNCTION(again) {
  size_t id = arguments(env, info).number[0];
  napi_value buffer = NULL;
  napi_create_external_arraybuffer(env, held[id].data, held[id].byte_length, NULL, NULL, &buffer);
  return buffer;
}
/* (held): lets go. A reference can only be deleted in its environment. */
FUNCTION(release) {
  size_t id = arguments(env, info).number[0];
  if (held[id].env == env) napi_delete_reference(env, held[id].reference);
  return NULL;
}
/* (): stores, or their bytes, that offheap could not free and has counted */
FUNCTION(leaked) { (void)info; return number(env, 0); }
/* (): for offheap, which looks from time to time what script has let go of */
FUNCTION(release_collected) { (void)env, (void)info; return NULL; }
/* (held), (id): whether it is the memory itself or a copy */
FUNCTION(exposure) { (void)info; return text(env, "memory"); }
/* (buffer) */
FUNCTION(detach) {
  if (napi_detach_arraybuffer(env, arguments(env, info).value[0]) != napi_ok) return failed(env, "cannot be detached");
  return NULL;
}
/* (): how the memory reaches script */
FUNCTION(mode) { (void)info; return text(env, "plain"); }

NAPI_MODULE_INIT() {
  static const struct { const char *name; napi_callback function; } all[] = {
    {"expose", expose}, {"exposeShared", expose_shared}, {"exposeTwice", expose_twice}, {"exposePointerTwice", expose_twice}, {"exposeHeap", expose_heap},
    {"kept", kept}, {"freed", freed}, {"written", written}, {"hold", hold}, {"read", read}, 
    {"byteLength", byte_length}, {"again", again}, {"release", release}, {"releaseOnThread", release}, {"leakedStores", leaked}, {"leakedBytes", leaked}, {"releaseCollected", release_collected}, {"exposure", exposure}, {"exposed", exposure},
    {"detach", detach}, {"mode", mode},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    napi_value function = NULL;
    napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].function, NULL, &function);
    napi_set_named_property(env, exports, all[i].name, function);
  }
  return exports;
}
