/**
 * `npm run schema`: writes config.schema.json, which editors use, from the schema that the daemon checks with.
 */

import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { configSchema } from '../src/base/config-schema.ts';

const schema = z.toJSONSchema(configSchema, { io: 'input' });
const document = { ...schema, title: 'aipassd configuration' };
writeFileSync(new URL('../config.schema.json', import.meta.url), `${JSON.stringify(document, null, 2)}\n`);
