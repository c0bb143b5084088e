/**
 * What must compile under `tsc --strict` (npm run check:types): real clients keep their own types
 * behind `pooled()`, with overloads, type parameters and call signatures. Nothing here is run.
 */

import Anthropic from '@anthropic-ai/sdk';
import { Client as Notion, iteratePaginatedAPI } from '@notionhq/client';
import { WebClient } from '@slack/web-api';
import axios from 'axios';
import got from 'got';
import ky from 'ky';
import { Octokit } from 'octokit';
import OpenAI from 'openai';
import Stripe from 'stripe';
import type { Aipass } from '../../src/client/index.ts';

/** Uses an OpenAI client: overloads by `stream`, pages, and the methods of an un-awaited result. */
export async function useOpenai(aipass: Aipass): Promise<(string | null)[]> {
  const openai = aipass.pooled('openai', (apiKey) => new OpenAI({ apiKey }));
  const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] };
  const texts: (string | null)[] = [];
  texts.push((await openai.chat.completions.create(chat)).choices[0]?.message.content ?? null);
  for await (const chunk of await openai.chat.completions.create({ ...chat, stream: true })) {
    texts.push(chunk.choices[0]?.delta.content ?? null);
  }
  for await (const model of openai.models.list()) texts.push(model.id);
  const { data, response } = await openai.chat.completions.create(chat).withResponse();
  texts.push(data.id, response.statusText);
  const parsed: string | null = await openai.chat.completions.stream(chat).finalContent();
  return [...texts, parsed];
}

/** A client of a program's own. */
class Mine extends OpenAI {
  readonly #answer = 42;

  get region(): string {
    return 'eu';
  }

  ask(): Promise<number> {
    return Promise.resolve(this.#answer);
  }
}

/**
 * Uses a client of a class of one's own, methods that were taken out or bound, a template tag and a
 * callback.
 */
export async function useOddly(aipass: Aipass): Promise<unknown[]> {
  const mine = aipass.pooled('openai', (apiKey) => new Mine({ apiKey }));
  const region: string = await mine.region();
  const answer: number = await mine.ask();
  const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] };
  const { create } = mine.chat.completions;
  const taken: string = (await create(chat)).id;
  const bound: string = (await mine.chat.completions.create.bind(mine.chat.completions)(chat)).id;
  const sql = aipass.pooled('db', () => (texts: TemplateStringsArray, ...values: number[]): Promise<number> => {
    return Promise.resolve(texts.length + values.length);
  });
  const rows: number = await sql`select ${1}`;
  const classic = aipass.pooled('db', () => ({ get: (done: (value: string) => void): void => done('x') }));
  await classic.get((value: string) => value);
  return [region, answer, taken, bound, rows];
}

/** Uses an Anthropic client. */
export async function useAnthropic(aipass: Aipass): Promise<string[]> {
  const anthropic = aipass.pooled('anthropic', (apiKey) => new Anthropic({ apiKey }));
  const message = await anthropic.messages.create({ model: 'm', max_tokens: 1, messages: [] });
  const final = await anthropic.messages.stream({ model: 'm', max_tokens: 1, messages: [] }).finalMessage();
  return [message.id, final.id];
}

/** Uses clients that are functions themselves. */
export async function useHttp(aipass: Aipass): Promise<unknown[]> {
  const http = aipass.pooled('axios', (key) => axios.create({ headers: { 'x-api-key': key } }));
  const id: number = (await http.get<{ id: number }>('/x')).data.id;
  const status: number = (await http({ url: '/x' })).status;
  const fetcher = aipass.pooled('fetch', (key) => (path: string) => fetch(path, { headers: { 'x-api-key': key } }));
  const ok: boolean = (await fetcher('/x')).ok;
  const gotten = aipass.pooled('got', (key) => got.extend({ headers: { 'x-api-key': key } }));
  const document: { id: number } = await gotten('https://example.invalid').json<{ id: number }>();
  const kept = aipass.pooled('ky', (key) => ky.create({ headers: { 'x-api-key': key } }));
  const body: { id: number } = await kept.get('https://example.invalid').json<{ id: number }>();
  return [id, status, ok, document, body];
}

/** Uses clients of services, with their paginators. */
export async function useServices(aipass: Aipass): Promise<unknown[]> {
  const stripe = aipass.pooled('stripe', (key) => new Stripe(key));
  const live: boolean = (await stripe.balance.retrieve()).livemode;
  const seen: unknown[] = [live];
  for await (const customer of stripe.customers.list()) seen.push(customer.id);
  const slack = aipass.pooled('slack', (token) => new WebClient(token));
  const posted: string | undefined = (await slack.chat.postMessage({ channel: 'c', text: 't' })).ts;
  const github = aipass.pooled('github', (auth) => new Octokit({ auth }));
  const login: string = (await github.rest.users.getAuthenticated()).data.login;
  const asked: string = (await github.request('GET /user')).data.login;
  const issues = await github.paginate(github.rest.issues.listForRepo, { owner: 'o', repo: 'r' });
  for await (const page of github.paginate.iterator(github.rest.issues.listForRepo, { owner: 'o', repo: 'r' })) {
    seen.push(page.data[0]?.number);
  }
  const notion = aipass.pooled('notion', (auth) => new Notion({ auth }));
  for await (const user of iteratePaginatedAPI(notion.users.list, {})) seen.push(user.id);
  return [...seen, posted, login, asked, issues[0]?.number];
}

/** Uses plain values, functions that return at once, and what may be missing. */
export async function usePlain(aipass: Aipass): Promise<unknown[]> {
  const version: string = await aipass.pooled('v', () => ({ version: '1' })).version();
  const lists = aipass.pooled('v', () => ({ list: (): number[] => [1] }));
  const sums: number[] = [];
  for (const one of await lists.list()) sums.push(one + 1);
  for await (const one of lists.list()) sums.push(one + 1);
  const nothing: number | null = await aipass.pooled('v', () => ({ n: 1 as number | null })).n();
  const optional = aipass.pooled('v', (): { f?: () => number } => ({ f: () => 1 }));
  const maybe: number | undefined = await optional.f?.();
  return [version, sums, nothing, maybe];
}
