/**
 * A provider on loopback that speaks all dialects: OpenAI's chat, Responses, embeddings and models,
 * Anthropic's Messages, and Gemini, with pictures, sound, files and batches. Every text is "Hello
 * from mock"; usage is always 11 tokens in and 5 out.
 *
 * It remembers the keys that it saw, and refuses the first request after `limitNext()` with 429.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Text of every answer. */
export const HELLO = 'Hello from mock';

/** Bytes that clients upload, none of which may change on the way. */
export const UPLOAD = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7919) % 256));

/** Tokens of every answer. */
export const TOKENS = { input: 11, output: 5 } as const;

/** Request that the mock got. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** Every credential that came with it, wherever it was. */
  readonly credentials: readonly string[];
  /** All header fields, by name and value, and the path, as one text. */
  readonly everything: string;
}

/** Running mock. */
export interface DialectMock extends AsyncDisposable {
  readonly origin: string;
  readonly seen: readonly SeenRequest[];
  /** Refuses the next request for a completion with 429. */
  limitNext(): void;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Document, or the events of a stream. */
  readonly body?: unknown;
  readonly events?: readonly unknown[];
  readonly bytes?: Buffer;
  /** Whether events are named by their type, and no `[DONE]` follows. */
  readonly isNamed?: boolean;
}

/** Starts a mock on a free port of 127.0.0.1. */
export async function startDialectMock(): Promise<DialectMock> {
  const seen: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  let limits = 0;
  const server = createServer((request, response) => {
    void (async () => {
      const raw = await readBody(request);
      const body = parseBody(raw);
      seen.push(describe(request));
      const path = new URL(request.url ?? '/', 'http://mock').pathname;
      if (limits > 0 && request.method === 'POST' && !path.endsWith('count_tokens')) {
        limits -= 1;
        send(response, {
          status: 429,
          headers: { 'retry-after': '1' },
          body: {
            type: 'error',
            error: { type: 'rate_limit_error', message: 'slow down', code: 429, status: 'RESOURCE_EXHAUSTED' },
          },
        });
        return;
      }
      send(response, answerAboutFile(request, path, raw) ?? answerTo(request, path, body));
    })();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the mock does not listen');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    seen,
    limitNext: () => {
      limits = 1;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function parseBody(raw: Buffer): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(raw.toString());
    return typeof body === 'object' && body !== null ? { ...body } : {};
  } catch {
    return {};
  }
}

function describe({ method = '', url = '', headers, rawHeaders }: IncomingMessage): SeenRequest {
  const credentials = [
    headers.authorization?.replace(/^Bearer /i, ''),
    headers['x-api-key'],
    headers['x-goog-api-key'],
    new URL(url, 'http://mock').searchParams.get('key') ?? undefined,
  ].filter((one) => typeof one === 'string');
  return { method, path: url, credentials, everything: `${url} ${rawHeaders.join(' ')}` };
}

/** Returns the answer to a request with bytes in it or behind it, or undefined for any other. */
function answerAboutFile(request: IncomingMessage, path: string, raw: Buffer): Answer | undefined {
  const { method, url = '' } = request;
  const isUploaded = raw.includes(UPLOAD);
  if (path.endsWith('/audio/speech')) return { bytes: UPLOAD };
  if (/\/(?:audio\/transcriptions|images\/(?:edits|generations))$/.test(path)) {
    if (!path.endsWith('generations') && !isUploaded) return BROKEN_UPLOAD;
    const usage = { input_tokens: TOKENS.input, output_tokens: TOKENS.output, total_tokens: CHAT_USAGE.total_tokens };
    if (path.includes('/images/')) return { body: { created: 1, data: [{ b64_json: PICTURE }], usage } };
    return { body: { text: HELLO, usage: { type: 'tokens', ...usage } } };
  }
  if (path.startsWith('/upload/')) {
    const file = { name: 'files/1', uri: 'https://mock/files/1', state: 'ACTIVE', mimeType: 'text/plain' };
    if (url.includes('upload_id=')) {
      return isUploaded ? { headers: { 'x-goog-upload-status': 'final' }, body: { file } } : BROKEN_UPLOAD;
    }
    const upload = `https://mock.example${path}?upload_id=1&upload_protocol=resumable`;
    return { headers: { 'x-goog-upload-url': upload, 'x-goog-upload-status': 'active' }, body: {} };
  }
  if (path.endsWith('/content')) return { bytes: UPLOAD };
  if (/\/files(?:\/[^/]+)?$/.test(path)) {
    if (method === 'POST' && !isUploaded) return BROKEN_UPLOAD;
    const deleted = method === 'DELETE' ? { deleted: true } : {};
    const times = { created_at: '2026-01-01T00:00:00Z', mime_type: 'text/plain', size_bytes: UPLOAD.length };
    const file = { id: 'file-1', object: 'file', type: 'file', bytes: UPLOAD.length, filename: 'a', purpose: 'batch' };
    return { body: { ...file, ...times, ...deleted } };
  }
  if (path.includes('/messages/batches')) {
    if (path.endsWith('/results')) {
      const result = { type: 'succeeded', message: message('m', TOKENS.output) };
      return { bytes: Buffer.from(`${JSON.stringify({ custom_id: 'one', result })}\n`) };
    }
    const at = '2026-01-01T00:00:00Z';
    const times = { created_at: at, expires_at: at, ended_at: at, archived_at: null, cancel_initiated_at: null };
    const counts = { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 0 };
    const state = { processing_status: 'ended', request_counts: counts };
    return { body: { id: 'msgbatch_1', type: 'message_batch', ...state, ...times, results_url: null } };
  }
  if (path.includes('/batches')) {
    const state = { status: 'completed', endpoint: '/v1/chat/completions', completion_window: '24h' };
    const files = { input_file_id: 'file-1', output_file_id: 'file-2' };
    return { body: { id: 'batch_1', object: 'batch', created_at: 1, ...state, ...files } };
  }
  return undefined;
}

const BROKEN_UPLOAD: Answer = {
  status: 400,
  body: { type: 'error', error: { message: 'the upload is not what was sent', type: 'invalid_request_error' } },
};

/** A picture of one pixel. */
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

function answerTo(request: IncomingMessage, path: string, body: Readonly<Record<string, unknown>>): Answer {
  const model = typeof body['model'] === 'string' ? body['model'] : 'mock-model';
  const isStreamed = body['stream'] === true;
  const tool = wantedTool(body);
  if (tool !== undefined) return answerWithTool(model, tool, path, body);
  if (path.endsWith('/chat/completions')) return isStreamed ? chatStream(model, body) : { body: chat(model) };
  if (path.endsWith('/responses')) return isStreamed ? responsesStream(model) : { body: responseOf(model, true) };
  if (path.endsWith('/embeddings')) return { body: embeddings(model, body) };
  if (path.endsWith('/messages/count_tokens')) return { body: { input_tokens: TOKENS.input } };
  if (path.endsWith('/messages')) return isStreamed ? messageStream(model) : { body: message(model, TOKENS.output) };
  if (path.endsWith('/models')) return { body: models(request, path) };
  const [, verb] = /:(\w+)$/.exec(path) ?? [];
  if (verb === 'generateContent') return { body: gemini() };
  if (verb === 'streamGenerateContent') return { events: [gemini()], isNamed: false };
  if (verb === 'embedContent' || verb === 'batchEmbedContents') {
    const embedding = { values: [0.5, 0.25] };
    const usageMetadata = { promptTokenCount: TOKENS.input, totalTokenCount: TOKENS.input };
    return { body: { embedding, embeddings: [embedding], usageMetadata } };
  }
  if (verb === 'batchGenerateContent')
    return { body: { name: 'batches/1', metadata: { state: 'BATCH_STATE_PENDING' } } };
  if (verb === 'countTokens') return { body: { totalTokens: TOKENS.input } };
  return {
    status: 404,
    body: { error: { message: `the mock has no ${request.method} ${path}`, type: 'not_found_error' } },
  };
}

/** Arguments of every call of a tool. */
const ARGUMENTS = { text: HELLO };

/** Returns the name of the tool that a request wants to be called, in any dialect. */
function wantedTool(body: Readonly<Record<string, unknown>>): string | undefined {
  const choice: unknown = body['tool_choice'];
  const [named] = namesIn(choice, ['function', 'name']).concat(namesIn(choice, ['name']));
  const allowed = namesIn(body['toolConfig'], ['functionCallingConfig', 'allowedFunctionNames', '0']);
  return named ?? allowed[0];
}

function namesIn(value: unknown, path: readonly string[]): string[] {
  let at = value;
  for (const name of path) at = typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined;
  return typeof at === 'string' ? [at] : [];
}

function jsonDelta(part: string): unknown {
  return { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: part } };
}

function answerWithTool(model: string, name: string, path: string, body: Readonly<Record<string, unknown>>): Answer {
  const isStreamed = body['stream'] === true;
  const text = JSON.stringify(ARGUMENTS);
  if (path.endsWith('/messages')) {
    const block = { type: 'tool_use', id: 'toolu_1', name, input: isStreamed ? {} : ARGUMENTS };
    if (!isStreamed) return { body: { ...message(model, TOKENS.output, [block]), stop_reason: 'tool_use' } };
    return messageStream(model, block, [jsonDelta(text.slice(0, 9)), jsonDelta(text.slice(9))], 'tool_use');
  }
  if (/:(?:stream)?[gG]enerateContent$/.test(path)) {
    const parts = [{ functionCall: { name, args: ARGUMENTS } }];
    return path.includes(':stream') ? { events: [gemini(parts)] } : { body: gemini(parts) };
  }
  const call = (part: string): object => ({
    index: 0,
    id: 'call_1',
    type: 'function',
    function: { name, arguments: part },
  });
  if (!isStreamed) {
    const said = { role: 'assistant', content: null, tool_calls: [call(text)] };
    const choice = { index: 0, message: said, finish_reason: 'tool_calls', logprobs: null };
    return {
      body: { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model, choices: [choice], usage: CHAT_USAGE },
    };
  }
  const more = { index: 0, function: { arguments: text.slice(9) } };
  const deltas = [{ role: 'assistant', tool_calls: [call(text.slice(0, 9))] }, { tool_calls: [more] }];
  return chatStream(model, body, deltas, 'tool_calls');
}

const CHAT_USAGE = {
  prompt_tokens: TOKENS.input,
  completion_tokens: TOKENS.output,
  total_tokens: TOKENS.input + TOKENS.output,
};

function chat(model: string): unknown {
  const choice = {
    index: 0,
    message: { role: 'assistant', content: HELLO, refusal: null },
    finish_reason: 'stop',
    logprobs: null,
  };
  return { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model, choices: [choice], usage: CHAT_USAGE };
}

function chatStream(
  model: string,
  body: Readonly<Record<string, unknown>>,
  deltas: readonly object[] = [{ role: 'assistant', content: '' }, { content: HELLO }],
  reason = 'stop',
): Answer {
  const chunk = (delta: object, finish: string | null = null): unknown => ({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model,
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  const options: unknown = body['stream_options'];
  const wantsUsage = typeof options === 'object' && options !== null && Reflect.get(options, 'include_usage') === true;
  const usage = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model,
    choices: [],
    usage: CHAT_USAGE,
  };
  return {
    events: [...deltas.map((delta) => chunk(delta)), chunk({}, reason), ...(wantsUsage ? [usage] : []), '[DONE]'],
  };
}

function responseOf(model: string, isDone: boolean): Record<string, unknown> {
  const part = { type: 'output_text', text: HELLO, annotations: [] };
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_764_000_000,
    status: isDone ? 'completed' : 'in_progress',
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    model,
    output: isDone ? [{ type: 'message', id: 'msg_1', status: 'completed', role: 'assistant', content: [part] }] : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: isDone
      ? {
          input_tokens: TOKENS.input,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: TOKENS.output,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: TOKENS.input + TOKENS.output,
        }
      : null,
    user: null,
    metadata: {},
  };
}

function responsesStream(model: string): Answer {
  const item = { type: 'message', id: 'msg_1', status: 'in_progress', role: 'assistant', content: [] };
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  const text = { type: 'output_text', text: HELLO, annotations: [] };
  const events = [
    { type: 'response.created', response: responseOf(model, false) },
    { type: 'response.output_item.added', output_index: 0, item },
    { type: 'response.content_part.added', ...at, part: { ...text, text: '' } },
    { type: 'response.output_text.delta', ...at, delta: HELLO, logprobs: [] },
    { type: 'response.output_text.done', ...at, text: HELLO, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: text },
    { type: 'response.output_item.done', output_index: 0, item: { ...item, status: 'completed', content: [text] } },
    { type: 'response.completed', response: responseOf(model, true) },
  ];
  return { events: events.map((event, number) => ({ ...event, sequence_number: number })), isNamed: true };
}

function embeddings(model: string, body: Readonly<Record<string, unknown>>): unknown {
  const vector = [0.5, 0.25];
  const isBase64 = body['encoding_format'] === 'base64';
  const embedding = isBase64 ? Buffer.from(new Float32Array(vector).buffer).toString('base64') : vector;
  const usage = { prompt_tokens: TOKENS.input, total_tokens: TOKENS.input };
  return { id: 'emb_1', object: 'list', model, data: [{ object: 'embedding', index: 0, embedding }], usage };
}

function message(
  model: string,
  outputTokens: number,
  content: readonly unknown[] = [{ type: 'text', text: HELLO }],
): Record<string, unknown> {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content,
    stop_reason: content.length > 0 ? 'end_turn' : null,
    stop_sequence: null,
    usage: { input_tokens: TOKENS.input, output_tokens: outputTokens },
  };
}

function messageStream(
  model: string,
  block: object = { type: 'text', text: '' },
  deltas: readonly unknown[] = [{ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: HELLO } }],
  reason = 'end_turn',
): Answer {
  return {
    isNamed: true,
    events: [
      { type: 'message_start', message: message(model, 1, []) },
      { type: 'content_block_start', index: 0, content_block: block },
      { type: 'ping' },
      ...deltas,
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: reason, stop_sequence: null },
        usage: { output_tokens: TOKENS.output },
      },
      { type: 'message_stop' },
    ],
  };
}

function models(request: IncomingMessage, path: string): unknown {
  if (path.includes('/v1beta') || request.headers['x-goog-api-key'] !== undefined) {
    return { models: [{ name: 'models/gemini-2.5-flash', supportedGenerationMethods: ['generateContent'] }] };
  }
  if (request.headers['anthropic-version'] !== undefined) {
    const model = {
      type: 'model',
      id: 'claude-sonnet-4-5',
      display_name: 'Claude',
      created_at: '2025-01-01T00:00:00Z',
    };
    return { data: [model], has_more: false, first_id: model.id, last_id: model.id };
  }
  return { object: 'list', data: [{ id: 'gpt-5-mini', object: 'model', created: 1, owned_by: 'mock' }] };
}

function gemini(parts: readonly object[] = [{ text: HELLO }]): unknown {
  return {
    candidates: [{ content: { parts, role: 'model' }, finishReason: 'STOP', index: 0 }],
    usageMetadata: {
      promptTokenCount: TOKENS.input,
      candidatesTokenCount: TOKENS.output,
      totalTokenCount: TOKENS.input + TOKENS.output,
    },
    modelVersion: 'gemini-2.5-flash',
    responseId: 'r1',
  };
}

function send(
  response: ServerResponse,
  { status = 200, headers = {}, body, bytes, events, isNamed = false }: Answer,
): void {
  if (bytes !== undefined) {
    response.writeHead(status, { 'content-type': 'application/octet-stream', ...headers }).end(bytes);
    return;
  }
  if (events === undefined) {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    return;
  }
  response.writeHead(status, { 'content-type': 'text/event-stream', ...headers });
  for (const event of events) {
    const data = typeof event === 'string' ? event : JSON.stringify(event);
    const type: unknown = typeof event === 'object' && event !== null ? Reflect.get(event, 'type') : undefined;
    response.write(`${isNamed && typeof type === 'string' ? `event: ${type}\n` : ''}data: ${data}\n\n`);
  }
  response.end();
}
