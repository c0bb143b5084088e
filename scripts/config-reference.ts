/**
 * Prints the reference of `config.jsonc` as Markdown from its JSON schema: one table per group of
 * settings.
 */

/** The parts of a JSON schema that the reference needs. */
export interface SettingSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: SettingSchema | boolean;
  readonly items?: SettingSchema;
  readonly anyOf?: readonly SettingSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
}

/** One setting with its path, such as `providers.<name>.baseUrl`. */
export interface Setting {
  readonly path: string;
  readonly schema: SettingSchema;
}

/** Lists every setting, groups included, in the order of the schema. */
export function listSettings(schema: SettingSchema, path = ''): Setting[] {
  const { properties = {}, additionalProperties, items, anyOf = [] } = schema;
  const own = Object.entries(properties).flatMap(([name, child]) => {
    const childPath = path === '' ? name : `${path}.${name}`;
    return [{ path: childPath, schema: child }, ...listSettings(child, childPath)];
  });
  const named = typeof additionalProperties === 'object' ? listSettings(additionalProperties, `${path}.<name>`) : [];
  const listed = items === undefined ? [] : listSettings(items, `${path}[]`);
  return [...own, ...named, ...listed, ...anyOf.flatMap((member) => listSettings(member, path))];
}

/** Returns the reference as Markdown. */
export function printReference(schema: SettingSchema): string {
  const settings = listSettings(schema).filter(({ path }) => path !== '$schema');
  const groups = Map.groupBy(settings, ({ path }) => path.split('.')[0]?.replace('[]', '') ?? '');
  return [...groups].map(([name, group]) => printGroup(name, group)).join('\n');
}

function printGroup(name: string, settings: readonly Setting[]): string {
  const [group, ...rest] = settings;
  const isSingle = rest.length === 0;
  const intro = isSingle || group?.schema.description === undefined ? '' : `${group.schema.description}\n\n`;
  const rows = (isSingle ? settings : rest).map(({ path, schema }) => {
    const text = [schema.description ?? '', printDefault(schema)].filter((part) => part !== '').join(' ');
    return `| \`${path}\` | ${printType(schema)} | ${text} |\n`;
  });
  return `## \`${name}\`\n\n${intro}| setting | value | meaning |\n| --- | --- | --- |\n${rows.join('')}`;
}

function printType(schema: SettingSchema): string {
  const { additionalProperties, minimum, maximum } = schema;
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.anyOf) return [...new Set(schema.anyOf.map(printType))].join(' or ');
  if (schema.type === 'array') return schema.items === undefined ? 'list' : `list of ${printPlural(schema.items)}`;
  if (typeof additionalProperties === 'object') return `object of names and ${printPlural(additionalProperties)}`;
  const hasRange = schema.type === 'integer' && minimum !== undefined && maximum !== undefined && maximum < 2 ** 53 - 1;
  if (hasRange) return `${minimum} to ${maximum}`;
  return schema.type ?? 'any value';
}

function printPlural({ type = 'value', anyOf }: SettingSchema): string {
  return anyOf ? [...new Set(anyOf.map(printPlural))].join(' or ') : `${type}s`;
}

function printDefault(schema: SettingSchema): string {
  const { default: value } = schema;
  if (value === undefined || typeof value === 'object') return '';
  return `Default \`${JSON.stringify(value)}\`.`;
}
