package org.elasticsearch.node;

import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.ClusterStateUpdateTask;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.metadata.Metadata;
import org.elasticsearch.cluster.metadata.MetadataDeleteIndexService;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/** {@code DELETE /_data_stream/NAME}, which the distribution has in a module that is not published. */
public final class StreamRemoval extends Plugin implements ActionPlugin {

    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(
        Settings settings,
        NamedWriteableRegistry writeables,
        RestController controller,
        ClusterSettings clusterSettings,
        IndexScopedSettings indexSettings,
        SettingsFilter filter,
        IndexNameExpressionResolver resolver,
        Supplier<DiscoveryNodes> nodes,
        Predicate<NodeFeature> features
    ) {
        return List.of(new Handler());
    }

    private final class Handler implements RestHandler {
        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.DELETE, "/_data_stream/{name}"));
        }

        @Override
        public void handleRequest(RestRequest request, RestChannel channel, NodeClient client) {
            cluster.submitUnbatchedStateUpdateTask("remove a data stream", new Removal(request.param("name"), channel));
        }
    }

    private final class Removal extends ClusterStateUpdateTask {
        private final String name;
        private final RestChannel channel;
        private boolean found;

        Removal(String name, RestChannel channel) {
            this.name = name;
            this.channel = channel;
        }

        @Override
        public ClusterState execute(ClusterState state) {
            DataStream stream = state.metadata().dataStreams().get(name);
            found = stream != null;
            if (stream == null) {
                return state;
            }
            Metadata.Builder without = Metadata.builder(state.metadata()).removeDataStream(name);
            ClusterState next = ClusterState.builder(state).metadata(without).build();
            return MetadataDeleteIndexService.deleteIndices(next, new HashSet<>(stream.getIndices()), cluster.getSettings());
        }

        @Override
        public void clusterStateProcessed(ClusterState before, ClusterState after) {
            RestStatus status = found ? RestStatus.OK : RestStatus.NOT_FOUND;
            channel.sendResponse(new RestResponse(status, "application/json", "{\"acknowledged\":" + found + "}"));
        }

        @Override
        public void onFailure(Exception failure) {
            channel.sendResponse(new RestResponse(RestStatus.INTERNAL_SERVER_ERROR, String.valueOf(failure)));
        }
    }
}
