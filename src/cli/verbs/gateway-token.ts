/**
 * `aipassd gateway-token`: tokens of named callers for the loopback listener.
 */

import { AipassError } from '../../base/errors.ts';
import { defineVerb, flag, integer, JSON_FLAG, optionalWord } from '../verb.ts';

export const gatewayToken = defineVerb({
  name: 'gateway-token',
  summary: 'make a token for a caller of the HTTP gateway on loopback; without a name, list them',
  details: [
    'The token is shown once, and stored as a hash. Only one Unix user can present it, and gateway.port must be set in the configuration. A program that aipassd exec runs needs none.',
  ],
  parameters: {
    name: optionalWord('name that the requests are recorded under'),
    see: flag('allow it to read metrics, the status and provider credentials'),
    admin: flag('allow it to change provider credentials, where its user may'),
    uid: integer('N', [0, 0xffff_fffe], 'Unix user that may present it; your own without it'),
    remove: flag('remove the token of that name', ['see', 'admin']),
    json: JSON_FLAG,
  },
  async run({ name, see, admin, uid, remove: isRemoved, json }, { out, connect, signal }) {
    const aipass = await connect();
    if (name === undefined) {
      const { tokens } = await aipass.request('gateway.token.list', {}, { signal });
      if (json) out.json(tokens);
      else {
        const rows = tokens.map((one) => [
          one.name,
          String(one.uid),
          one.rights.join(', '),
          new Date(one.createdAt).toISOString(),
        ]);
        if (rows.length > 0) out.table([['name', 'uid', 'rights', 'made'], ...rows]);
        else out.line('there is no token yet: aipassd gateway-token <name> makes one');
      }
      return;
    }
    if (isRemoved) {
      const { removed } = await aipass.request('gateway.token.remove', { name }, { signal });
      if (!removed) {
        throw new AipassError('NOT_FOUND', `there is no token of that name (got "${name}")`, {
          hint: 'list them: aipassd gateway-token',
        });
      }
      return;
    }
    const created = await aipass.request('gateway.token.create', { name, uid, see, admin }, { signal });
    if (json) out.json(created);
    else out.line(created.token);
  },
});
