import anthropic

client = anthropic.Anthropic()
messages = [{"role": "user", "content": "hi"}]
print(client.messages.create(model="claude-sonnet-4-5", max_tokens=10, messages=messages).content[0].text)
with client.messages.stream(model="claude-sonnet-4-5", max_tokens=10, messages=messages) as stream:
    print(stream.get_final_message().content[0].text)
print(client.models.list().data[0].id)
