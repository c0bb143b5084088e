import anthropic

client = anthropic.Anthropic()
messages = [{"role": "user", "content": "hi"}]
print(client.messages.create(model="claude-sonnet-4-5", max_tokens=10, messages=messages).content[0].text)
with client.messages.stream(model="claude-sonnet-4-5", max_tokens=10, messages=messages) as stream:
    print(stream.get_final_message().content[0].text)
print(client.models.list().data[0].id)
data = bytes(at * 7919 % 256 for at in range(70_000))
uploaded = client.beta.files.upload(file=("a.txt", data, "text/plain"))
print(uploaded.size_bytes, client.beta.files.delete(uploaded.id).id)
request = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": messages}
batch = client.messages.batches.create(requests=[{"custom_id": "one", "params": request}])
print(client.messages.batches.retrieve(batch.id).processing_status)
