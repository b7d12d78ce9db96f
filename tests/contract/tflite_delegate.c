/* A delegate for tests, loaded from a library: takes every ADD of two like float32 tensors, or as its option `mode`
 * says refuses in one of the ways in which delegates refuse.
 *
 * The packages ship no headers, so the structures that it needs are written out here, up to the last field it uses.
 * From tflite/core/c/common.h of https://github.com/google-ai-edge/LiteRT (unchanged since TensorFlow 2.5 so far).
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, ERROR = 1, DELEGATE_ERROR = 2 };
enum { ADD = 0, FLOAT32 = 1 };

typedef struct { int size; int data[]; } IntArray;

typedef struct {
  int type;
  void* data;
  IntArray* dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  void* delegate;
  int buffer_handle;
  _Bool data_is_stale, is_variable;
  struct { int type; void* params; } quantization;
  void* sparsity;
  const IntArray* dims_signature;
} Tensor;

typedef struct { IntArray* inputs; IntArray* outputs; } Node;

typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  void* (*init)(Context*, const char*, size_t);
  void (*free)(Context*, void*);
  int (*prepare)(Context*, Node*);
  int (*invoke)(Context*, Node*);
  const char* (*profiling_string)(const Context*, const Node*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* operator_;
  void* (*async_kernel)(Context*, Node*);
  uint64_t inplace_operator;
} Registration;

struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(Context*, IntArray**);
  Tensor* tensors;
  void* implementation;
  int (*resize_tensor)(Context*, Tensor*, IntArray*);
  void (*report_error)(Context*, const char*, ...);
  int (*add_tensors)(Context*, int, int*);
  int (*get_node)(Context*, int, Node**, Registration**);
  int (*replace)(Context*, Registration, const IntArray*, Delegate*);
};

struct Delegate {
  void* mode;
  int (*prepare)(Context*, Delegate*);
  int (*copy_from)(Context*, Delegate*, int, Tensor*);
  int (*copy_to)(Context*, Delegate*, int, Tensor*);
  void (*free_handle)(Context*, Delegate*, int*);
  int64_t flags;
  void* opaque_builder;
};

typedef struct { Delegate* delegate; IntArray* nodes; IntArray* inputs; IntArray* outputs; } Part;

/* What a part of the graph has to do: tensors of each addition, in order, and memory for each of its results. */
typedef struct { int count; int refuses; int (*additions)[3]; float** results; } Work;

static int is(const Delegate* delegate, const char* mode) { return strcmp((const char*)delegate->mode, mode) == 0; }

static void* kernel_init(Context* context, const char* buffer, size_t length) {
  const Part* part = (const Part*)buffer;
  Work* work = calloc(1, sizeof(Work));
  work->count = part->nodes->size;
  work->refuses = is(part->delegate, "kernel");
  work->additions = calloc(part->nodes->size, sizeof(int[3]));
  work->results = calloc(part->nodes->size, sizeof(float*));
  for (int i = 0; i < part->nodes->size; ++i) {
    Node* node;
    Registration* registration;
    context->get_node(context, part->nodes->data[i], &node, &registration);
    work->additions[i][0] = node->inputs->data[0];
    work->additions[i][1] = node->inputs->data[1];
    work->additions[i][2] = node->outputs->data[0];
    work->results[i] = malloc(context->tensors[node->outputs->data[0]].bytes);
  }
  return work;
}

static void kernel_free(Context* context, void* buffer) {
  Work* work = buffer;
  for (int i = 0; i < work->count; ++i) free(work->results[i]);
  free(work->results);
  free(work->additions);
  free(work);
}

/* The field behind inputs, outputs, intermediates and temporaries. */
static Work* work_of(Node* node) { return ((Work**)node)[4]; }

static int kernel_prepare(Context* context, Node* node) {
  if (work_of(node)->refuses) {
    context->report_error(context, "the test delegate cannot prepare its kernel");
    return ERROR;
  }
  return OK;
}

/* Where a tensor's numbers are: what only passes between operators of the part has no memory of the runtime's. */
static float* numbers(Context* context, const Work* work, int tensor) {
  for (int i = 0; i < work->count; ++i)
    if (work->additions[i][2] == tensor && context->tensors[tensor].data == NULL) return work->results[i];
  return context->tensors[tensor].data;
}

static int kernel_invoke(Context* context, Node* node) {
  const Work* work = work_of(node);
  for (int i = 0; i < work->count; ++i) {
    const int* addition = work->additions[i];
    const Tensor* sum = &context->tensors[addition[2]];
    for (int j = 0; j < 2; ++j) {
      const Tensor* term = &context->tensors[addition[j]];
      if (term->type != FLOAT32 || term->bytes != sum->bytes) {
        context->report_error(context, "the test delegate does not know this runtime's tensors");
        return ERROR;
      }
    }
    const float *a = numbers(context, work, addition[0]), *b = numbers(context, work, addition[1]);
    float* c = numbers(context, work, addition[2]);
    for (size_t j = 0; j < sum->bytes / sizeof(float); ++j) c[j] = a[j] + b[j];
  }
  return OK;
}

static int prepare(Context* context, Delegate* delegate) {
  if (is(delegate, "prepare")) {
    context->report_error(context, "the test delegate has no driver");
    return DELEGATE_ERROR;
  }
  if (is(delegate, "nothing")) return OK;
  IntArray* plan;
  if (context->get_execution_plan(context, &plan) != OK) return ERROR;
  IntArray* wanted = malloc(sizeof(IntArray) + plan->size * sizeof(int));
  wanted->size = 0;
  for (int i = 0; i < plan->size; ++i) {
    Node* node;
    Registration* registration;
    if (context->get_node(context, plan->data[i], &node, &registration) != OK) return ERROR;
    if (registration->builtin_code == ADD) wanted->data[wanted->size++] = plan->data[i];
    if (is(delegate, "first") && wanted->size == 1) break;
  }
  Registration kernel = {
      .init = kernel_init,
      .free = kernel_free,
      .prepare = kernel_prepare,
      .invoke = kernel_invoke,
      .custom_name = "TestDelegate",
      .version = 1,
  };
  int status = context->replace(context, kernel, wanted, delegate);
  free(wanted);
  return status;
}

Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  const char* mode = "";
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(keys[i], "mode") != 0) {
      report("the test delegate knows no such option");
      return NULL;
    }
    mode = values[i];
  }
  if (strcmp(mode, "create") == 0) {
    report("the test delegate finds no device");
    return NULL;
  }
  Delegate* made = calloc(1, sizeof(Delegate));
  made->mode = strdup(mode);
  made->prepare = prepare;
  return made;
}

void tflite_plugin_destroy_delegate(Delegate* delegate) {
  if (delegate == NULL) return; /* the packages hand over what could not be created too */
  free(delegate->mode);
  free(delegate);
}
