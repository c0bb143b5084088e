/**
 * The endpoints of several APIs that the tests of pooled clients call, on 127.0.0.1. A key that
 * contains LIMIT is answered with 429, QUOTA with 429 and "insufficient_quota", and DEAD with 401.
 * GH403 is answered with GitHub's 403 of a used-up limit, EMPTY with the 400 of Anthropic's account
 * without credit.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { isRecord, parseJson } from '../../src/base/json.ts';
import { portOf } from './port-of.ts';

/** One request, as far as it is answered. */
interface Asked {
  readonly url: URL;
  readonly key: string;
  readonly body: string;
}

/** What a key's name makes of a request. */
type Mood = 'good' | 'limit' | 'quota' | 'dead' | 'gh403' | 'empty';

/** A running API. */
export class SdkApi implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Keys of all requests, in order. */
  readonly keys: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = portOf(server);
    this.url = `http://127.0.0.1:${this.port}`;
  }

  static async start(): Promise<SdkApi> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const self = new SdkApi(server);
    server.on('request', (request, response) => {
      void self.#answer(request, response);
    });
    return self;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const url = new URL(request.url ?? '/', this.url);
    const key = keyOf(request, body);
    this.keys.push(key);
    const asked = { url, key, body };
    const mood = moodOf(key);
    switch (url.pathname.split('/')[1]) {
      case 'slack':
        return answerSlack(asked, mood, response);
      case 'github':
        return answerGithub(asked, mood, response, this.url);
      case 'v1':
        return answerStripe(asked, mood, response);
      case 'notion':
        return answerNotion(asked, mood, response);
      default:
        return answerModels(asked, mood, response);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}

function keyOf({ headers }: IncomingMessage, body: string): string {
  const authorization = headers.authorization ?? '';
  const [, basic] = /^Basic (\S+)$/.exec(authorization) ?? [];
  const bearer = authorization.replace(/^(?:Bearer|token) /i, '');
  const token = basic === undefined ? bearer : Buffer.from(basic, 'base64').toString().replace(/:$/, '');
  return token || String(headers['x-api-key'] ?? new URLSearchParams(body).get('token') ?? '');
}

function moodOf(key: string): Mood {
  const moods = { LIMIT: 'limit', QUOTA: 'quota', GH403: 'gh403', DEAD: 'dead', EMPTY: 'empty' } as const;
  return Object.entries(moods).find(([word]) => key.includes(word))?.[1] ?? 'good';
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function answerSlack({ url, body }: Asked, mood: Mood, response: ServerResponse): void {
  if (mood === 'limit') return send(response, 429, { ok: false, error: 'ratelimited' }, { 'retry-after': '7' });
  if (mood === 'dead') return send(response, 200, { ok: false, error: 'invalid_auth' });
  if (!url.pathname.endsWith('conversations.list')) return send(response, 200, { ok: true, ts: '1.0', channel: 'C1' });
  const isSecond = Boolean(new URLSearchParams(body).get('cursor'));
  send(response, 200, {
    ok: true,
    channels: [{ id: isSecond ? 'C2' : 'C1' }],
    response_metadata: { next_cursor: isSecond ? '' : 'next' },
  });
}

function answerGithub({ url }: Asked, mood: Mood, response: ServerResponse, base: string): void {
  if (mood === 'gh403') {
    const reset = String(Math.floor(Date.now() / 1000) + 1800);
    const limits = { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset };
    return send(
      response,
      403,
      { message: 'API rate limit exceeded for user ID 1.' },
      { ...limits, 'retry-after': '60' },
    );
  }
  if (mood === 'limit') {
    return send(
      response,
      429,
      { message: 'secondary rate limit' },
      { 'retry-after': '60', 'x-ratelimit-remaining': '0' },
    );
  }
  if (mood === 'dead') return send(response, 401, { message: 'Bad credentials' });
  if (!url.pathname.includes('/issues')) return send(response, 200, { login: 'me', id: 1 });
  const page = Number(url.searchParams.get('page') ?? 1);
  const link = `<${base}/github/repos/o/r/issues?page=${page + 1}>; rel="next"`;
  send(response, 200, [{ id: page, number: page, title: `issue ${page}` }], page < 3 ? { link } : {});
}

function answerStripe({ url }: Asked, mood: Mood, response: ServerResponse): void {
  if (mood === 'limit') {
    const error = { type: 'invalid_request_error', code: 'rate_limit', message: 'Too many requests' };
    return send(response, 429, { error }, { 'retry-after': '9', 'stripe-should-retry': 'false' });
  }
  if (mood === 'dead') {
    return send(response, 401, { error: { type: 'invalid_request_error', message: 'Invalid API Key provided' } });
  }
  if (!url.pathname.endsWith('/customers')) return send(response, 200, { object: 'balance', livemode: false });
  const isSecond = url.searchParams.has('starting_after');
  const data = [{ id: isSecond ? 'cus_2' : 'cus_1', object: 'customer' }];
  send(response, 200, { object: 'list', url: '/v1/customers', has_more: !isSecond, data });
}

function answerNotion({ url }: Asked, mood: Mood, response: ServerResponse): void {
  if (mood === 'limit') {
    const error = { object: 'error', status: 429, code: 'rate_limited', message: 'slow down' };
    return send(response, 429, error, { 'retry-after': '8' });
  }
  if (mood === 'dead') {
    return send(response, 401, {
      object: 'error',
      status: 401,
      code: 'unauthorized',
      message: 'API token is invalid.',
    });
  }
  const isSecond = url.searchParams.has('start_cursor');
  const results = [{ object: 'user', id: isSecond ? 'u2' : 'u1' }];
  send(response, 200, { object: 'list', results, next_cursor: isSecond ? null : 'c2', has_more: !isSecond });
}

function answerModels({ url, key, body }: Asked, mood: Mood, response: ServerResponse): void {
  if (mood === 'limit') {
    const error = { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' };
    const limits = { 'x-ratelimit-limit-requests': '100', 'x-ratelimit-remaining-requests': '0' };
    return send(response, 429, { error }, { 'retry-after': '120', ...limits, 'x-ratelimit-reset-requests': '2m0s' });
  }
  if (mood === 'quota') {
    const error = {
      message: 'You exceeded your current quota',
      type: 'insufficient_quota',
      code: 'insufficient_quota',
    };
    return send(response, 429, { error });
  }
  if (mood === 'dead') {
    return send(response, 401, { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } });
  }
  if (mood === 'empty') {
    const message = 'Your credit balance is too low to access the Anthropic API.';
    return send(response, 400, { type: 'error', error: { type: 'invalid_request_error', message } });
  }
  const document = parseJson(body);
  const isStreamed = isRecord(document) && document['stream'] === true;
  if (url.pathname.endsWith('/models')) {
    const data = ['m1', 'm2'].map((id) => ({ id, object: 'model', type: 'model' }));
    return send(response, 200, { object: 'list', data, has_more: false, first_id: 'm1', last_id: 'm2' });
  }
  if (url.pathname.endsWith('/messages')) return answerMessages(isStreamed, response);
  if (url.pathname.endsWith('/chat/completions')) return answerChat(isStreamed, response);
  send(response, 200, { ok: true, path: url.pathname, key }, { 'x-ratelimit-remaining-requests': '41' });
}

function answerChat(isStreamed: boolean, response: ServerResponse): void {
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' };
  if (!isStreamed) {
    const message = { role: 'assistant', content: 'Hello world' };
    const choices = [{ index: 0, message, finish_reason: 'stop' }];
    return send(response, 200, { ...chunk, object: 'chat.completion', choices });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const content of ['Hello', ' world']) {
    const choices = [{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }];
    response.write(`data: ${JSON.stringify({ ...chunk, choices })}\n\n`);
  }
  const choices = [{ index: 0, delta: {}, finish_reason: 'stop' }];
  response.end(`data: ${JSON.stringify({ ...chunk, choices })}\n\ndata: [DONE]\n\n`);
}

function answerMessages(isStreamed: boolean, response: ServerResponse): void {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', stop_reason: null };
  if (!isStreamed) {
    const content = [{ type: 'text', text: 'Hello' }];
    const usage = { input_tokens: 3, output_tokens: 2 };
    return send(response, 200, { ...message, content, stop_reason: 'end_turn', usage });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const events = [
    { type: 'message_start', message: { ...message, content: [], usage: { input_tokens: 3, output_tokens: 0 } } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } },
    { type: 'message_stop' },
  ];
  for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  response.end();
}
