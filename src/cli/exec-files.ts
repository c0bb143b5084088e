/**
 * Lines for the configuration files of programs that do not read the variables of `aipassd exec`.
 * They are printed, and never written: the files are their user's own.
 */

import { basename } from 'node:path';
import type { GatewayRoutes } from '../protocol/gateway.ts';

/** Lines for one file. */
export interface FileLines {
  readonly file: string;
  readonly lines: readonly string[];
}

/** Programs with lines of their own. */
export const PROGRAMS_WITH_FILES = ['codex', 'gemini', 'opencode', 'cn', 'cline'] as const;

/** Returns the lines for a program, or undefined for one that the variables suffice for. */
export function fileLines(program: string, origin: string, routes: GatewayRoutes): FileLines | undefined {
  const openai = `${origin}/${routes.openai ?? 'openai'}/v1`;
  switch (basename(program)) {
    case 'codex':
      return {
        file: '~/.codex/config.toml',
        lines: [
          'model_provider = "aipassd"',
          '',
          '[model_providers.aipassd]',
          'name = "aipassd"',
          `base_url = "${openai}"`,
          'env_key = "OPENAI_API_KEY"',
          'wire_api = "responses"',
        ],
      };
    case 'gemini':
      return {
        file: '~/.gemini/settings.json',
        lines: ['{ "security": { "auth": { "selectedType": "gemini-api-key" } } }'],
      };
    case 'opencode':
      return {
        file: '~/.config/opencode/opencode.json',
        lines: [
          JSON.stringify(
            { provider: { openai: { options: { baseURL: '{env:OPENAI_BASE_URL}', apiKey: '{env:OPENAI_API_KEY}' } } } },
            null,
            2,
          ),
        ],
      };
    case 'cn':
    case 'continue':
      return {
        file: '~/.continue/config.yaml',
        lines: [
          'models:',
          '  - name: aipassd',
          '    provider: openai',
          '    model: gpt-5-mini',
          // Secrets of the environment, as continue names them.
          '    apiBase: ${{ secrets.OPENAI_BASE_URL }}',
          '    apiKey: ${{ secrets.OPENAI_API_KEY }}',
        ],
      };
    case 'cline':
      return {
        file: '~/.cline, by its own command within the run',
        lines: [
          'cline auth -p openai-compatible -k "$OPENAI_API_KEY" -b "$OPENAI_BASE_URL" -m gpt-5-mini',
          'cline -P openai-compatible "…"',
        ],
      };
    default:
      return undefined;
  }
}
